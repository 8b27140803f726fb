"""Numbers sources whose spans of one video overlap, so that their clips get different keys.

Overlapping spans are sources of their own, and their clips may have equal times by chance. Each is given the smallest
number that no earlier source with an overlapping span has; clips of sources with equal numbers share no time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from curation.sources.source_rows import SourceKey, SourceRow

Span = tuple[float, float]
"""Start and end in seconds; the end may be infinite."""


def span_of(start: float | None, end: float | None) -> Span:
    """Return a source's span; None stands for the start and the end of the video."""
    return start or 0.0, math.inf if end is None else end


def overlap_numbers(rows: Iterable[SourceRow]) -> Mapping[SourceKey, int]:
    """Return the number of each source with work to do: 1, or more if it overlaps earlier sources of its video.

    Args:
        rows: of ``sources.parquet`` in order; rows that are added later change no number.
    """
    numbers: dict[SourceKey, int] = {}
    taken: defaultdict[str, list[tuple[Span, int]]] = defaultdict(list)
    for row in rows:
        if row.planned_state is not None or row.key in numbers:
            continue
        span = span_of(row.start, row.end)
        used = {number for other, number in taken[row.video_id] if span[0] < other[1] and other[0] < span[1]}
        numbers[row.key] = next(number for number in range(1, len(used) + 2) if number not in used)
        taken[row.video_id].append((span, numbers[row.key]))
    return numbers
