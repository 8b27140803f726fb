import errno
import random
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.full_disk import files_up_to

from shards.errors import ShardError
from shards.reader import (
    artifacts,
    committed_media,
    media_shards,
    num_rows,
    read_artifact,
    read_table,
    verify_sizes,
)
from shards.schema import CAPTIONS, CLIPS, LEDGER
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import Artifact, ShardMedia, commit_shard_media, commit_table, conform, table_digest

ROWS = [
    {"root_key": "a", "kind": "frame", "start": 1.0, "end": 1.0, "text": "a cat", "confidence": 0.5, "share": None},
    {"root_key": "a", "kind": "frame", "start": 2.0, "end": 2.0, "text": None, "confidence": None, "share": None},
]
ARTIFACT = Artifact(stage="caption", content_hash="c0ffee", inputs={"media/0000000.parquet": "d1"}, counts={"n": 2.0})


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "dir" if request.param == "folder" else f"memory://{uuid.uuid4().hex}")


def _captions(rows: list[dict[str, Any]] = ROWS) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=CAPTIONS)


def _commit_media(store: Store, tmp_path: Path, shard: int = 0) -> Artifact:
    media, keyframes = TarWriter(tmp_path / "m.tar"), TarWriter(tmp_path / "k.tar")
    with media, keyframes:
        media.add("a.mp4", b"12345")
        keyframes.add("a.0.jpg", b"1")
    empty = (LEDGER.empty_table(), CLIPS.empty_table())
    return commit_shard_media(store, tmp_path, ShardMedia(shard, media, keyframes, *empty), Artifact("media", "h"))


def test_a_committed_table_is_read_back_with_its_artifact(store: Store, tmp_path: Path) -> None:
    committed = commit_table(store, tmp_path, "captions/x/0000000.parquet", _captions(), ARTIFACT)
    table = read_table(store, "captions/x/0000000.parquet")
    assert table.to_pylist() == ROWS
    assert table.schema.equals(CAPTIONS)
    assert read_artifact(store, "captions/x/0000000.parquet") == committed
    assert committed == replace(ARTIFACT, digest=table_digest(_captions()))
    assert num_rows(store, "captions/x/0000000.parquet") == 2


def test_some_columns_are_read_alone(store: Store, tmp_path: Path) -> None:
    commit_table(store, tmp_path, "captions/x/0000000.parquet", _captions(), ARTIFACT)
    assert read_table(store, "captions/x/0000000.parquet", ["start"]).column_names == ["start"]
    with pytest.raises(ShardError, match="no column 'strat'"):
        read_table(store, "captions/x/0000000.parquet", ["strat"])


def test_scratch_is_clean_after_a_commit(store: Store, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    commit_table(store, scratch, "captions/x/0000000.parquet", _captions(), ARTIFACT)
    assert list(scratch.iterdir()) == []


def test_the_digest_is_of_values_not_of_how_they_are_held() -> None:
    chunked = pa.concat_tables([_captions(ROWS[:1]), _captions(ROWS[1:])])
    assert table_digest(chunked) == table_digest(_captions())
    assert table_digest(_captions(ROWS[:1])) != table_digest(_captions())
    assert table_digest(_captions(ROWS[::-1])) != table_digest(_captions())
    plain = pa.table({"a": ["x", "y", "x"]})
    assert table_digest(plain) == table_digest(pa.table({"a": plain["a"].dictionary_encode()}))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (_captions().drop_columns(["start"]), "missing"),
        (_captions().append_column("extra", pa.array([1, 2])), "extra"),
        (_captions().set_column(2, "start", pa.array([1.0, None])), "column start has nulls"),
        (_captions().set_column(2, "start", pa.array(["x", "y"])), "0000000"),
    ],
    ids=["missing column", "unknown column", "null where none may be", "wrong type"],
)
def test_a_table_that_breaks_its_schema_is_refused(table: pa.Table, words: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "dir")
    with pytest.raises(ShardError, match=words):
        commit_table(store, tmp_path, "captions/x/0000000.parquet", table, ARTIFACT)
    assert store.list("captions/x") == {}


def test_columns_are_ordered_and_cast_if_nothing_is_lost() -> None:
    rows = [{"source": "s", "video_id": "v", "start": None, "end": 3, "shard": 1, "attempt": 1, "state": "written"}]
    rows[0] |= {"class": None, "message": None, "seconds": 3, "clips": 2, "elapsed": None}
    table = pa.Table.from_pylist(rows).select(sorted(rows[0]))
    assert conform(table, LEDGER).schema.equals(LEDGER)


def test_no_table_belongs_at_an_unknown_place(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="no table of this name"):
        commit_table(Store(tmp_path), tmp_path, "elsewhere/0000000.parquet", _captions(), ARTIFACT)


def test_media_is_committed_with_its_files_named_and_the_table_last(store: Store, tmp_path: Path) -> None:
    artifact = _commit_media(store, tmp_path)
    assert media_shards(store) == [0]
    assert committed_media(store) == {0: artifact}
    assert artifact.files["media/0000000.tar"].size == store.list("media")["0000000.tar"].size
    assert set(artifact.files) == {"media/0000000.tar", "keyframes/0000000.tar"}
    assert read_artifact(store, "ledger/0000000.parquet").stage == "media"


def test_a_commit_that_stops_before_the_table_leaves_the_shard_uncommitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "dir")
    _commit_media(store, tmp_path)
    commit = Store.commit

    def stop_at_the_mark(self: Store, local: Path, name: str) -> None:
        if name == "media/0000000.parquet":
            raise OSError(28, "No space left on device")
        commit(self, local, name)

    monkeypatch.setattr(Store, "commit", stop_at_the_mark)
    with pytest.raises(OSError, match="No space"):
        _commit_media(store, tmp_path)
    assert media_shards(store) == []


def test_a_tar_of_another_size_makes_the_shard_uncommitted(tmp_path: Path) -> None:
    store = Store(tmp_path / "dir")
    found = {shard: _commit_media(store, tmp_path, shard) for shard in (0, 1, 2)}
    with (tmp_path / "dir/media/0000001.tar").open("ab") as file:
        file.write(b"x")
    (tmp_path / "dir/keyframes/0000002.tar").unlink()
    assert verify_sizes(store, found) == [1, 2]
    assert list(committed_media(store)) == [0]


def test_a_table_of_another_origin_is_no_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path / "dir")
    commit_table(store, tmp_path, "captions/x/0000000.parquet", _captions(), ARTIFACT)
    pq.write_table(_captions(), tmp_path / "dir/captions/x/0000001.parquet")
    (tmp_path / "dir/captions/x/0000002.parquet").write_bytes(b"PAR1 not parquet")
    with pytest.raises(ShardError, match="no artifact record"):
        read_artifact(store, "captions/x/0000001.parquet")
    with pytest.raises(ShardError, match="not a readable Parquet"):
        read_artifact(store, "captions/x/0000002.parquet")
    assert list(artifacts(store, "captions/x")) == [0]


def test_records_are_read_several_at_once_and_each_of_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "dir")
    commit_table(store, tmp_path, "captions/x/0000000.parquet", _captions(), ARTIFACT)
    data = store.read_bytes("captions/x/0000000.parquet")
    for shard in range(1, 32):
        (tmp_path / f"dir/captions/x/{shard:07d}.parquet").write_bytes(data)
    eight, read = threading.Barrier(8), []

    def read_beside_seven_others(store: Store, name: str) -> Artifact:
        eight.wait(timeout=60)
        read.append(name)
        return read_artifact(store, name)

    monkeypatch.setattr("shards.reader.read_artifact", read_beside_seven_others)
    assert list(artifacts(store, "captions/x")) == list(range(32))
    assert sorted(read) == [f"captions/x/{shard:07d}.parquet" for shard in range(32)]


def test_a_table_that_finds_the_disk_full_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    store = Store(tmp_path / "dir")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    noise = [{**ROWS[0], "start": random.random()} for _ in range(20_000)]
    with files_up_to(4096), pytest.raises(OSError) as failure:
        commit_table(store, scratch, "captions/x/0000000.parquet", _captions(noise), ARTIFACT)
    assert failure.value.errno == errno.EFBIG
    assert list(scratch.iterdir()) == []
    assert store.list("captions/x") == {}
