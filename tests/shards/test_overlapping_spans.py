"""Sources whose spans of one video overlap have different numbers, which stay the same when sources are added."""

from __future__ import annotations

from dataclasses import replace

import pytest

from curation.sources.source_rows import SourceRow, source_table
from shards.schema_1 import SOURCES_1
from shards.sources.overlapping_spans import with_overlaps

Times = tuple[float | None, float | None]


def rows(*spans: Times, video: str = "0" * 16) -> list[SourceRow]:
    return [SourceRow("https://x.org/a", video, *span, 0, 1, None, None) for span in spans]


def overlap_numbers(found: list[SourceRow]) -> list[int]:
    """Return the numbers that rows of a table without them get."""
    return list(with_overlaps(source_table(found).select(SOURCES_1.names))["overlap"].to_pylist())


@pytest.mark.parametrize(
    ("spans", "numbers"),
    [
        ([(0, 5), (5, 9), (9, None)], [1, 1, 1]),
        ([(0, 5), (3, 7), (8, 9)], [1, 2, 1]),
        ([(0, 5), (3, 7), (6, 9), (4, 8)], [1, 2, 1, 3]),
        ([(None, None), (0, 5), (5, None), (2, 6)], [1, 2, 2, 3]),
        ([(0, 60), (0, 30), (0, 15)], [1, 2, 3]),
    ],
)
def test_each_source_has_the_smallest_number_that_is_free(spans: list[Times], numbers: list[int]) -> None:
    found = rows(*spans)
    for count in range(len(found) + 1):
        assert overlap_numbers(found[:count]) == numbers[:count]


def test_other_videos_duplicates_and_further_attempts_take_no_number() -> None:
    first, second = rows((0, 5), (3, 7))
    (other,) = rows((3, 7), video="1" * 16)
    left_out = replace(rows((2, 4))[0], planned_state="excluded")
    assert overlap_numbers([first, left_out, other, replace(first, attempt=2, shard=1), second]) == [1, 1, 1, 1, 2]
