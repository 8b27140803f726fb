"""Observation: one thing that was seen in the pictures of a root clip, and when. Pure.

The rows of a caption set (`shards.schema.CAPTIONS`): frame captions, events, on-screen text, objects. The evidence of a
clip (`curation.grounding.evidence`) is made of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from curation.prompts.same_statement import same_words
from shards.schema import ObservationKind
from shards.stored_rows import StoredObservation


@dataclass(frozen=True)
class Observation:
    """One row of a caption set.

    A row with a confidence but no text: the observer was not sure enough. A row with neither: the observer failed.
    """

    root_key: str
    kind: ObservationKind
    start: float
    """Seconds of the video."""
    end: float
    """Seconds of the video; equal to `start` for what one still shows."""
    text: str | None
    confidence: float | None = None
    share: float | None = None
    """Share of the picture that it covers; None where unknown."""

    @classmethod
    def from_row(cls, row: StoredObservation) -> Observation:
        """Return a stored row as a record."""
        return cls(**row)  # type: ignore[arg-type]  # a stored kind is a plain string

    @property
    def is_failure(self) -> bool:
        """True if the observer failed here."""
        return self.text is None and self.confidence is None


def observed_between(observations: Iterable[Observation], start: float, end: float) -> tuple[Observation, ...]:
    """Return what is seen in ``[start, end)``, in order of time.

    What one still shows belongs to the span that its time is in; what lasts belongs to every span that it overlaps.
    Times are compared in whole milliseconds, because the names of keyframes hold whole milliseconds.
    """
    first, last = round(start * 1000), round(end * 1000)
    own = (each for each in observations if _is_within(round(each.start * 1000), round(each.end * 1000), first, last))
    return tuple(sorted(own, key=lambda each: (each.start, each.end)))


def without_repeats(observations: Iterable[Observation], gap: float = 2.0) -> list[Observation]:
    """Return observations in order of time; events in a row that say the same are one event.

    A long action is told once for each short clip that it is seen in.

    Args:
        observations: of one root.
        gap: most seconds between two events that are joined.
    """
    merged: list[Observation] = []
    last: dict[ObservationKind, int] = {}
    for each in sorted(observations, key=lambda each: (each.start, each.end)):
        before = merged[last[each.kind]] if each.kind in last else None
        if before and each.kind == "event" and _goes_on(before, each, gap):
            merged[last[each.kind]] = replace(before, end=max(before.end, each.end))
        else:
            last[each.kind] = len(merged)
            merged.append(each)
    return merged


def _goes_on(before: Observation, after: Observation, gap: float) -> bool:
    if before.text is None or after.text is None or after.start - before.end > gap:
        return False
    return same_words(before.text, after.text)


def _is_within(start: int, end: int, first: int, last: int) -> bool:
    return first <= start < last if start == end else start < last and end > first
