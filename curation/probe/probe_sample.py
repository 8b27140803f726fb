"""The sources of a probe: spread evenly over all that wait, with their seconds of video where those are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from curation.media.picture.guarded_probe import guarded_header_duration
from curation.plan import RunPlan
from curation.sources.source_rows import SourceRow

_MEASURED: Final = 2000
"""Most sources whose duration is read; their mean is used for the others."""


def waiting_sources(plan: RunPlan) -> Iterable[SourceRow]:
    """Yield the plan's sources whose media is still to be made."""
    todo = set(plan.todo.get("media", ()))
    return (row for row in plan.sources.rows if row.shard in todo and row.planned_state is None)


def spread(rows: Sequence[SourceRow], count: int) -> list[SourceRow]:
    """Return at most `count` rows, evenly spread over all."""
    count = min(count, len(rows))
    return [rows[(2 * i + 1) * len(rows) // (2 * count)] for i in range(count)]


def thinned(rows: Iterable[SourceRow], most: int = 10 * _MEASURED) -> tuple[list[SourceRow], int]:
    """Return every n-th row, at least half of `most` if there are more, and the number of all; memory is bounded."""
    kept: list[SourceRow] = []
    every, total = 1, 0
    for row in rows:
        if total % every == 0:
            kept.append(row)
            if len(kept) > most:
                kept, every = kept[::2], 2 * every
        total += 1
    return kept, total


def whole_over_sample(rows: Sequence[SourceRow], sample: Sequence[SourceRow]) -> float:
    """Return the ratio of seconds of video in `rows` to those in `sample`; of numbers of sources if none is known.

    A source of unknown duration counts as the mean of the known ones.
    """
    measured = spread(rows, _MEASURED)
    mean = mean_seconds((*measured, *sample)) or 1.0
    per_row = total_seconds(measured, mean) / len(measured)
    return per_row * len(rows) / total_seconds(sample, mean)


def mean_seconds(rows: Iterable[SourceRow]) -> float | None:
    """Return the mean of the known seconds of video; None if none is known."""
    known = [seconds for seconds in map(known_seconds, rows) if seconds is not None]
    return sum(known) / len(known) if known else None


def total_seconds(rows: Iterable[SourceRow], mean: float) -> float:
    """Return the seconds of video in `rows`, with `mean` for those that are not known; 1 instead of 0."""
    return sum(mean if (seconds := known_seconds(row)) is None else seconds for row in rows) or 1.0


@cache
def known_seconds(row: SourceRow) -> float | None:
    """Return the seconds of video in a source: its span, or the duration in the header of a local file."""
    whole = guarded_header_duration(Path(row.source)) if Path(row.source).is_absolute() else None
    end = row.end if whole is None or row.end is None else min(row.end, whole)
    end = whole if end is None else end
    return None if end is None else max(end - (row.start or 0.0), 0.0)
