"""The append-only table of sources: what is new, what needs no work, and which shard it goes into."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.read_sources import read_all
from support.source_files import YOUTUBE

from curation.sources.inputs import Source
from curation.sources.source_rows import SourceRow, source_rows, source_table
from curation.sources.table.planned_sources import PlannedSources, auto_videos_per_shard
from curation.sources.table.planned_sources import plan_sources as plan_stream
from shards.keys import video_id
from shards.schema import SOURCES
from shards.sources.overlapping_spans import span_of


def link(name: str, start: float | None = None, end: float | None = None) -> Source:
    """Return a source that is a URL."""
    url = f"https://example.org/{name}"
    return Source(url, video_id(url), start, end, {}, True, url)


class Planned(NamedTuple):
    """The counts of a plan, and the whole table after it."""

    counts: PlannedSources
    table: pa.Table


def plan_sources(existing: pa.Table | None, found: Iterable[Source], **options: Any) -> Planned:
    """Plan from tables in memory."""
    known = SOURCES.empty_table() if existing is None else existing
    planned = plan_stream(lambda: [known], found, **options)
    table = pa.concat_tables([known, *planned.added()]).combine_chunks()
    assert (planned.known, planned.new) == (known.num_rows, table.num_rows - known.num_rows)
    assert set(planned.shards) == set(table["shard"].to_pylist())
    planned.close()
    return Planned(planned, table)


def plan(
    existing: pa.Table | None,
    found: Sequence[Source],
    limit: int | None = None,
    exclude: Iterable[str] = (),
    retry: Sequence[SourceRow] = (),
) -> pa.Table:
    """Return the table after `found` were added, with two videos per shard."""
    return plan_sources(existing, found, videos_per_shard=2, limit=limit, exclude=exclude, retry=retry).table


def test_new_sources_fill_new_shards_at_the_end() -> None:
    first = plan(None, [link("a"), link("b"), link("c")])
    assert first["shard"].to_pylist() == [0, 0, 1]
    second = plan(first, [link("a"), link("b"), link("c"), link("d")])
    assert second.slice(0, 3).equals(first)
    assert second["shard"].to_pylist() == [0, 0, 1, 2]


def test_the_same_input_again_adds_nothing() -> None:
    table = plan(None, [link("a"), link("a", 0, 5)])
    assert plan(table, [link("a"), link("a", 0, 5)]).equals(table)


def test_auto_makes_sixteen_shards_of_few_videos_and_shards_of_64_of_many() -> None:
    assert [auto_videos_per_shard(n) for n in (0, 1, 16, 17, 1024, 100_000)] == [1, 1, 1, 2, 64, 64]
    planned = plan_sources(None, [link(str(n)) for n in range(40)], videos_per_shard="auto")
    assert planned.counts.videos_per_shard == 3
    assert planned.counts.new == 40
    assert max(planned.table["shard"].to_pylist()) == 13


def test_auto_after_a_pilot_makes_shards_for_all_sources_and_keeps_the_pilots() -> None:
    pilot = plan_sources(None, [link("a"), link("b")], videos_per_shard="auto")
    assert pilot.table["shard"].to_pylist() == [0, 1]
    grown = plan_sources(pilot.table, [link(str(n)) for n in range(1000)], videos_per_shard="auto")
    assert grown.table.slice(0, 2).equals(pilot.table)
    assert grown.counts.videos_per_shard == 63
    assert max(grown.table["shard"].to_pylist()) == 17
    last = plan_sources(grown.table, [link("x"), link("y")], videos_per_shard="auto")
    assert last.table["shard"].to_pylist()[-2:] == [18, 18]


def test_a_size_that_is_set_later_is_that_of_new_shards_and_the_largest_is_known() -> None:
    first = plan_sources(None, [link(str(n)) for n in range(6)], videos_per_shard=3)
    second = plan_sources(first.table, [link("a"), link("b")], videos_per_shard=1)
    assert second.table["shard"].to_pylist() == [0, 0, 0, 1, 1, 1, 2, 3]
    assert (second.counts.videos_per_shard, second.counts.largest_shard) == (1, 3)


def test_a_video_under_another_name_is_a_duplicate_where_the_span_is_the_same() -> None:
    a, b = link("a", 0, 10), link("b")
    spans = [(None, 10.0), (5.0, 15.0), (0.0, 10.0), (0.0, None), (None, None)]
    others = [Source(f"{b.source}{n}", a.video_id, *span, {}, True) for n, span in enumerate(spans)]
    table = plan(None, [a, *others])
    assert table["verdict"].to_pylist() == [None, "duplicate", None, "duplicate", None, "duplicate"]


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 5), (3, 7), (8, 9)],
        [(0, 10), (2, 4), (4, 6)],
        [(0, 5), (0, 9)],
        [(0, 5), (None, None)],
        [(None, None), (3, None)],
    ],
)
def test_each_span_of_a_video_is_a_source_of_its_own(spans: list[tuple[float | None, float | None]]) -> None:
    planned = plan_sources(None, [link("a", *span) for span in spans], videos_per_shard=4)
    assert planned.table["verdict"].to_pylist() == [None] * len(spans)
    assert plan_sources(planned.table, [link("a", *span) for span in spans], videos_per_shard=4).counts.new == 0


def test_a_span_that_an_earlier_version_left_out_is_made_by_the_next_run() -> None:
    first, span = link("a", 0, 5), link("a", 3, 7)
    old = [SourceRow(s.source, s.video_id, s.start, s.end, 0, 1, None, None) for s in (first, span)]
    table = source_table([old[0], replace(old[1], planned_state="duplicate")])
    grown = plan(table, [first, span])
    assert grown["verdict"].to_pylist() == [None, "duplicate", None]
    assert plan(grown, [first, span]).equals(grown)


def test_a_changed_file_is_a_new_source_and_a_url_whose_id_has_changed_is_not() -> None:
    old = [Source("/v/a.mp4", "1" * 16), Source("https://x.org/a", "2" * 16, is_url=True)]
    new = [Source("/v/a.mp4", "3" * 16), Source("https://x.org/a", "4" * 16, is_url=True)]
    assert plan(plan(None, old), new)["video_id"].to_pylist() == ["1" * 16, "2" * 16, "3" * 16]


@pytest.mark.parametrize("name", [YOUTUBE, "youtube:dQw4w9WgXcQ", "dQw4w9WgXcQ", video_id("youtube:dQw4w9WgXcQ")])
def test_excluded_sources_are_recorded_without_work(name: str) -> None:
    table = plan(None, [*read_all([YOUTUBE]), link("a")], exclude={name})
    assert table["verdict"].to_pylist() == ["excluded", None]


def test_the_limit_counts_new_sources_with_work() -> None:
    table = plan(None, [link("a")], limit=1)
    found = [link("a"), link("x"), link("b"), link("c"), link("d")]
    grown = plan(table, found, limit=2, exclude={"https://example.org/x"})
    assert [Path(s).name for s in grown["source"].to_pylist()] == ["a", "x", "b", "c"]


def test_retried_sources_go_into_new_shards_with_their_next_attempt_and_what_they_carried() -> None:
    table = plan(None, [Source("https://x.org/a", "1" * 16, 1.0, 2.0, {"k": 1}, True), link("b")])
    failed = source_rows(table)[:1]
    again = plan(table, [], retry=failed)
    row = source_rows(again)[-1]
    assert (row.attempt, row.shard, row.carried, row.start) == (2, 1, '{"k": 1}', 1.0)
    assert plan(again, [], retry=failed).equals(again)
    assert plan(again, [], retry=[row])["attempt"].to_pylist() == [1, 1, 2, 3]


def test_rows_without_work_don_t_fill_a_shard() -> None:
    found = [link("x"), link("a"), link("x", 1), link("b"), link("c")]
    table = plan(None, found, exclude={"https://example.org/x"})
    assert table["shard"].to_pylist() == [0, 0, 0, 0, 1]


spans = st.sampled_from([(None, None), (0.0, 5.0), (3.0, 9.0), (5.0, None)])
sources = st.builds(
    lambda name, id_, span, url: Source(
        f"{'https://' if url else '/'}x.org/{name}", id_ * 16, span[0], span[1], {}, url
    ),
    st.sampled_from("abcdef"),
    st.sampled_from("0123"),
    spans,
    st.booleans(),
)
runs = st.lists(
    st.tuples(
        st.lists(sources, max_size=12),
        st.sampled_from([1, 2, 5, "auto"]),
        st.sampled_from([None, 0, 1, 3]),
        st.sets(st.sampled_from(["0" * 16, "https://x.org/a"]), max_size=1),
        st.floats(0, 1),
    ),
    max_size=4,
)


@settings(max_examples=15)
@given(runs)
def test_a_table_only_ever_grows_at_its_end_and_spans_that_overlap_have_different_numbers(
    history: list[tuple[list[Source], int | Literal["auto"], int | None, set[str], float]],
) -> None:
    table = SOURCES.empty_table()
    for found, per_shard, limit, exclude, share in history:
        worked = [row for row in source_rows(table) if row.planned_state is None]
        retry = worked[: int(share * len(worked))]
        planned = plan_sources(table, found, videos_per_shard=per_shard, limit=limit, exclude=exclude, retry=retry)
        grown = planned.table
        assert grown.schema == SOURCES
        assert grown.slice(0, len(table)).equals(table)
        added = grown.slice(len(table)).to_pylist()
        assert all(row["shard"] > max(table["shard"].to_pylist(), default=-1) for row in added)
        counts = Counter(row["shard"] for row in added if row["verdict"] is None)
        spans = Counter(row["video_id"] for row in added)
        assert all(count < planned.counts.videos_per_shard + max(spans.values()) for count in counts.values())
        fresh = [row for row in added if row["attempt"] == 1 and row["verdict"] is None]
        assert limit is None or len(fresh) <= limit
        table = grown
    kept = [row for row in source_rows(table) if row.planned_state is None and row.attempt == 1]
    for i, a in enumerate(kept):
        for b in kept[:i]:
            disjoint = (a.end or math.inf) <= (b.start or 0) or (b.end or math.inf) <= (a.start or 0)
            assert a.video_id != b.video_id or disjoint or a.overlap != b.overlap
            assert a.video_id != b.video_id or span_of(a.start, a.end) != span_of(b.start, b.end)


def test_spans_of_one_video_share_a_shard_wherever_they_are_in_the_list() -> None:
    found = [link(name, start, start + 5) for start in (0.0, 3.0, 9.0) for name in ("a", "b", "c")]
    planned = plan_sources(None, found, videos_per_shard=2)
    rows = source_rows(planned.table)
    assert [(Path(row.source).name, row.start, row.shard) for row in rows[:3]] == [
        ("a", 0, 0),
        ("a", 3, 0),
        ("a", 9, 0),
    ]
    assert {name: {row.shard for row in rows if row.source.endswith(name)} for name in "abc"} == {
        "a": {0}, "b": {1}, "c": {2},
    }  # fmt: skip
    assert planned.counts.largest_shard == 3
    assert [row.overlap for row in rows] == [1, 2, 1] * 3


def test_a_span_that_is_added_later_keeps_the_numbers_of_those_that_it_overlaps() -> None:
    table = plan(None, [link("a", 0, 5), link("a", 3, 7)])
    grown = plan(table, [link("a", 4, 6), link("a", 8, 9)])
    assert grown["overlap"].to_pylist() == [1, 2, 3, 1]
    assert plan(grown, [], retry=source_rows(grown)[2:3])["overlap"].to_pylist() == [1, 2, 3, 1, 3]
