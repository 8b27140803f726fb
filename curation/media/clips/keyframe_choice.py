"""Choose keyframes among a video's candidate stills: about one every ten seconds, and one for each smallest clip."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol

from curation.media.picture.encoded_video import CandidateStill


class NestedSpan(Protocol):
    """A span with the spans nested in it, such as a clip of a clip tree."""

    @property
    def start(self) -> float:
        """Seconds of the video."""

    @property
    def end(self) -> float:
        """Seconds of the video."""

    @property
    def children(self) -> Sequence[NestedSpan]:
        """Spans nested in this one; empty for the smallest."""


def choose_keyframes(
    root: NestedSpan, stills: Sequence[CandidateStill], per_second: float = 0.1
) -> list[CandidateStill]:
    """Choose a root clip's keyframes among the stills of its video.

    Each smallest clip is divided into `per_second` equal parts a second, at least one. For each part the still
    nearest to its middle is taken, from inside the clip if there is one.

    Returns:
        Stills in order of time, each at most once. Empty only if `stills` is empty.
    """
    times = [still.time for still in stills]
    chosen: set[int] = set()
    for leaf in _leaves(root):
        inside = range(bisect_left(times, leaf.start), bisect_left(times, leaf.end))
        candidates = inside or range(len(times))
        parts = max(1, round((leaf.end - leaf.start) * per_second))
        for part in range(parts):
            middle = leaf.start + (leaf.end - leaf.start) * (part + 0.5) / parts
            chosen.update(_nearest(times, middle, candidates))
    return [stills[index] for index in sorted(chosen)]


def _leaves(span: NestedSpan) -> Iterator[NestedSpan]:
    if not span.children:
        yield span
    for child in span.children:
        yield from _leaves(child)


def _nearest(times: Sequence[float], wanted: float, candidates: range) -> list[int]:
    """Return the index among `candidates` whose time is nearest to `wanted`, as a list; empty without candidates."""
    index = bisect_left(times, wanted, candidates.start, candidates.stop)
    around = [neighbour for neighbour in (index - 1, index) if neighbour in candidates]
    return [min(around, key=lambda neighbour: abs(times[neighbour] - wanted))] if around else []
