"""Numbers sources whose spans of one video overlap, so that their clips get different keys.

Overlapping spans are sources of their own, and their clips may have equal times by chance. Each is given the smallest
number that no earlier source with an overlapping span has; clips of sources with equal numbers share no time. The
number is stored with the source when it is added, so sources that are added later change none.
"""

from __future__ import annotations

import math
from collections import defaultdict

import pyarrow as pa

Span = tuple[float, float]
"""Start and end in seconds; the end may be infinite."""


def span_of(start: float | None, end: float | None) -> Span:
    """Return a source's span; None stands for the start and the end of the video."""
    return start or 0.0, math.inf if end is None else end


class OverlapNumbers:
    """The numbers of the sources of one video, in the order in which they are added."""

    def __init__(self) -> None:
        self._taken: list[tuple[Span, int]] = []

    def keep(self, span: Span, number: int) -> None:
        """Add a source that has its number already."""
        self._taken.append((span, number))

    def give(self, span: Span) -> int:
        """Add a source and return its number: 1, or more if it overlaps earlier sources."""
        used = {number for other, number in self._taken if span[0] < other[1] and other[0] < span[1]}
        number = next(number for number in range(1, len(used) + 2) if number not in used)
        self.keep(span, number)
        return number


def with_overlaps(table: pa.Table) -> pa.Table:
    """Return a table of sources of an earlier version, in its order, with the column ``overlap``.

    Args:
        table: has the schema `shards.schema_1.SOURCES_1`.
    """
    videos: defaultdict[str, OverlapNumbers] = defaultdict(OverlapNumbers)
    given: dict[tuple[object, ...], int] = {}
    numbers = []
    columns = (table[name].to_pylist() for name in ("source", "video_id", "start", "end", "verdict"))
    for *key, verdict in zip(*columns, strict=True):
        if verdict is None and tuple(key) not in given:
            given[tuple(key)] = videos[key[1]].give(span_of(key[2], key[3]))
        numbers.append(given.get(tuple(key), 1))
    field = pa.field("overlap", pa.int32(), nullable=False)
    return table.append_column(field, pa.array(numbers, pa.int32()))
