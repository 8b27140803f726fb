import shutil
from pathlib import Path

import pytest
from support.shard_factory import add_shard, build_dir

from shards import index
from shards.errors import ShardError
from shards.index import read_index, rebuild_index
from shards.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return build_dir(tmp_path / "dir", shards=2)


def test_the_index_counts_roots_clips_seconds_and_bytes(store: Store) -> None:
    rows = read_index(store).to_pylist()
    assert [row["shard"] for row in rows] == [0, 1]
    for row in rows:
        assert (row["roots"], row["clips_short"], row["clips_medium"], row["clips_long"]) == (3, 5, 4, 2)
        assert row["seconds"] == pytest.approx(24 + 6 + 24)
        assert row["media_bytes"] == store.list("media")[f"{row['shard']:07d}.tar"].size
        assert row["keyframes_bytes"] == store.list("keyframes")[f"{row['shard']:07d}.tar"].size


def test_rebuilding_reads_only_shards_that_changed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_shard(store, tmp_path, 2)
    read = []
    row = index._read_row
    monkeypatch.setattr(
        index, "_read_row", lambda store, shard, artifact: read.append(shard) or row(store, shard, artifact)
    )
    assert rebuild_index(store)["shard"].to_pylist() == [0, 1, 2]
    assert read == [2]


def test_an_index_that_is_up_to_date_is_not_written_again(store: Store) -> None:
    before = store.list()["index.parquet"]
    rebuild_index(store)
    assert store.list()["index.parquet"] == before


def test_a_shard_that_is_not_committed_is_not_in_the_index(store: Store) -> None:
    store.delete("media/0000000.parquet")
    assert rebuild_index(store)["shard"].to_pylist() == [1]


def test_a_damaged_index_is_rebuilt(store: Store) -> None:
    good = read_index(store)
    store.commit_bytes(b"what", "index.parquet")
    assert rebuild_index(store).equals(good)


def test_a_dir_without_an_index_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"no index\.parquet"):
        read_index(Store(tmp_path))
    assert rebuild_index(Store(tmp_path)).num_rows == 0


def test_the_index_is_the_same_in_an_object_store(store: Store, tmp_path: Path) -> None:
    remote = Store(f"memory://{tmp_path.name}")
    for folder in ("media", "keyframes"):
        for name in store.list(folder):
            copy = shutil.copy(store.path(f"{folder}/{name}"), tmp_path / name)
            remote.commit(copy, f"{folder}/{name}")
    assert rebuild_index(remote).equals(read_index(store))
