"""The facts of a root beside its mp4."""

from __future__ import annotations

import pytest
from support.shard_factory import build_dir

from shards.errors import ShardError
from shards.media.root_facts import read_root_facts, shots_of
from shards.reader import read_table
from shards.storage.store import Store
from shards.storage.tar import ByteSpan


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_dir(tmp_path_factory.mktemp("facts") / "out", shards=1)


def test_the_facts_follow_the_mp4_of_each_root(store: Store) -> None:
    rows = read_table(store, "media/0000000.parquet", ["key", "root_key", "byte_offset", "byte_size", "start"])
    for row in rows.to_pylist():
        if row["key"] == row["root_key"]:
            facts = read_root_facts(store, 0, row["key"], ByteSpan(row["byte_offset"], row["byte_size"]))
            assert facts["key"] == row["key"] and shots_of(facts) == [row["start"] + 2.0]


def test_a_byte_range_of_another_member_is_refused(store: Store) -> None:
    row = read_table(store, "media/0000000.parquet", ["key", "byte_offset", "byte_size"]).to_pylist()[0]
    with pytest.raises(ShardError, match="not its facts"):
        read_root_facts(store, 0, "another", ByteSpan(row["byte_offset"], row["byte_size"]))
    with pytest.raises(ShardError, match="no readable tar header"):
        read_root_facts(store, 0, row["key"], ByteSpan(row["byte_offset"], 512))
    with pytest.raises(FileNotFoundError):
        read_root_facts(store, 7, row["key"], ByteSpan(0, 512))


@pytest.mark.parametrize("shots", [None, "1,2", {"a": 1}, [True, "x", float("nan"), None]])
def test_shots_that_are_none_are_left_out(shots: object) -> None:
    assert shots_of({"shots": shots}) in ([], [1.0])
    assert shots_of({}) == []
