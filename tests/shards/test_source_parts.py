"""The table of sources in parts: a shard's rows are read without the rest, and earlier versions' table is upgraded."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from shards.artifact import Artifact
from shards.schema import SOURCES
from shards.schema_1 import SOURCES_1
from shards.sources import part_writer
from shards.sources.part_writer import append_parts, upgrade_single_table
from shards.sources.source_parts import SINGLE_TABLE, SourceParts
from shards.storage.store import Store
from shards.writer import commit_table


def rows_of(shards: list[int], video: str = "0" * 16) -> pa.Table:
    """Return a row for each number, in that shard: spans of ten seconds that overlap their neighbours."""
    count = len(shards)
    known = {"source": [f"https://example.org/{n}" for n in range(count)], "video_id": [video] * count}
    spans = {"start": [n * 5.0 for n in range(count)], "end": [n * 5.0 + 10 for n in range(count)]}
    numbers = [1 + n % 2 for n in range(count)]
    columns = {**known, **spans, "shard": shards, "attempt": [1] * count, "overlap": numbers}
    return pa.table({name: columns.get(name, [None] * count) for name in SOURCES.names}, schema=SOURCES)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_writer, "PART_ROWS", 8)
    monkeypatch.setattr(part_writer, "GROUP_ROWS", 3)


def written(store: Store, table: pa.Table, scratch: Path) -> SourceParts:
    append_parts(store, scratch, [table.slice(first, 5) for first in range(0, table.num_rows, 5)])
    return SourceParts(store)


def test_a_part_holds_whole_shards_and_its_name_says_which(tmp_path: Path) -> None:
    table = rows_of([0] * 4 + [1] * 3 + [2] * 20 + [5] * 2)
    parts = written(Store(tmp_path / "dir"), table, tmp_path)
    assert parts.names == [
        "sources/0000000-0000001.parquet",
        "sources/0000002-0000002.parquet",
        "sources/0000005-0000005.parquet",
    ]
    assert parts.table().equals(table)
    for shard in range(7):
        assert parts.rows_of(shard).to_pylist() == [row for row in table.to_pylist() if row["shard"] == shard]


def test_a_shard_is_read_without_opening_other_parts(tmp_path: Path) -> None:
    store = Store(tmp_path / "dir")
    parts = written(store, rows_of([0] * 6 + [1] * 6), tmp_path)
    store.commit_bytes(b"damaged", parts.names[0])
    assert parts.rows_of(1).num_rows == 6


@pytest.fixture
def old(tmp_path: Path) -> Store:
    """A DIR of an earlier version: a single table, without numbers of overlapping spans."""
    store = Store(tmp_path / "old")
    table = rows_of([0] * 5 + [1] * 5).select(SOURCES_1.names)
    commit_table(store, tmp_path, SINGLE_TABLE, table, Artifact("sources", ""))
    return store


def test_the_single_table_of_an_earlier_version_reads_as_its_parts_do(old: Store, tmp_path: Path) -> None:
    table = rows_of([0] * 5 + [1] * 5)
    assert SourceParts(old).table().equals(table)
    assert SourceParts(old).rows_of(1).equals(table.slice(5))
    upgrade_single_table(old, tmp_path)
    assert (old.list(), len(old.list("sources"))) == ({}, 2)
    assert SourceParts(old).table().equals(table)
    assert SourceParts(old).rows_of(1).equals(table.slice(5))


@pytest.mark.parametrize("done", [1, 2])
def test_an_upgrade_that_is_killed_at_any_step_loses_and_doubles_nothing(
    old: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    class Killed(BaseException):
        pass

    calls = iter(["commit", "commit", "delete"][:done])

    def step(self: Store, *arguments: object) -> None:
        if next(calls, None) is None:
            raise Killed
        original[len(arguments)](self, *arguments)

    original = {2: Store.commit, 1: Store.delete}
    monkeypatch.setattr(Store, "commit", step)
    monkeypatch.setattr(Store, "delete", step)
    with pytest.raises(Killed):
        upgrade_single_table(old, tmp_path)
    monkeypatch.undo()
    assert SourceParts(old).table().equals(rows_of([0] * 5 + [1] * 5))
    upgrade_single_table(old, tmp_path)
    assert SourceParts(old).table().equals(rows_of([0] * 5 + [1] * 5))
