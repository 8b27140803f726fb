"""The state of each source is that of its last attempt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.shard_factory import build_dir

from curation.sources.source_rows import source_rows, source_table
from curation.sources.source_states import SourceStates, StateCount, equation
from runtime.errors import UserError
from shards.sources.part_writer import append_parts
from shards.sources.source_parts import SourceParts
from shards.storage.store import Store

BROKEN = [f"https://example.org/broken-{shard}" for shard in (0, 1)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR of two shards: four written sources, two duplicates, two that failed, one of which is to be tried again."""
    store = build_dir(tmp_path / "dir", shards=2, videos_per_shard=2)
    failed = [row for row in source_rows(SourceParts(store).table()) if row.source == BROKEN[0]]
    append_parts(store, tmp_path, [source_table(replace(row, shard=2, attempt=2) for row in failed)])
    return store


def test_sources_are_counted_by_the_state_and_class_of_their_last_attempt(store: Store) -> None:
    states = SourceStates(store)
    counts = {(count.state, count.class_): count.sources for count in states.counts()}
    assert counts == {
        ("written", None): 4, ("filtered", "duplicate"): 2, ("failed", "not_video"): 1, ("pending", None): 1,
    }  # fmt: skip
    assert [count.state for count in states.counts()] == ["written", "filtered", "failed", "pending"]
    assert equation(states.counts()) == "8 in = 4 written + 2 filtered + 1 failed + 1 pending"


def test_the_sources_of_a_state_and_class_are_found_in_their_order(store: Store) -> None:
    states = SourceStates(store)
    assert [state.row.source for state in states.all()] == [
        row.source for row in source_rows(SourceParts(store).table()) if row.attempt == 1
    ]
    assert [state.row.source for state in states.of_classes("failed", ["network", "not_video"])] == [BROKEN[1]]
    (pending,) = states.some(StateCount("pending", None, 1, 0.0, 0), 5)
    assert (pending.row.source, pending.row.attempt, pending.clips) == (BROKEN[0], 2, 0)


def test_a_ledger_that_is_gone_leaves_its_sources_pending_and_is_named(store: Store) -> None:
    store.delete("ledger/0000001.parquet")
    states = SourceStates(store)
    assert {count.state: count.sources for count in states.counts()} == {"written": 2, "filtered": 1, "pending": 5}
    assert states.lost_ledgers() == ["ledger/0000001.parquet is missing or damaged; the next run makes it again"]


def test_a_folder_without_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no sources/"):
        SourceStates(Store(tmp_path))
