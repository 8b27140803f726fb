"""Score sets on disk: what a writer commits, a reader returns and refuses, and `check` reports."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from support.shard_factory import build_dir

from shards.artifact import Artifact
from shards.checks.check_dir import check
from shards.errors import ShardError
from shards.keys import shard_name
from shards.manifest import StageMark, write_stage
from shards.reader import read_artifact, read_table
from shards.scores.score_set import ScoreSet, VectorFact, score_sets
from shards.scores.score_writer import ShardScores, commit_scores, score_schema
from shards.storage.store import Store

URI = "path:///model"
NAME = "scores/mine/0000000.parquet"


def commit(
    store: Store, scratch: Path, shard: int = 0, hash_: str = "h", vectors: int | None = 3
) -> NDArray[np.float16]:
    """Commit the scores of a shard: its clips numbered, and vectors of which the second is missing."""
    media = f"media/{shard_name(shard)}.parquet"
    keys = read_table(store, media)["key"].to_pylist()
    columns = {"number": range(len(keys)), "tag": ["a"] * len(keys)}
    ids = {"key": keys, "shard": [shard] * len(keys)}
    table = pa.table(ids | columns, schema=score_schema({"number": pa.float32(), "tag": pa.string()}))
    made = np.arange(len(keys) * (vectors or 1), dtype=np.float16).reshape(len(keys), -1)
    made[1] = np.nan
    artifact = Artifact("score", hash_, inputs={media: read_artifact(store, media).digest})
    scores = ShardScores(shard, table, {"look": made} if vectors else {})
    commit_scores(store, scratch, "scores/mine", scores, artifact)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR with one shard and the score set `mine`."""
    made = build_dir(tmp_path / "dir", shards=1)
    write_stage(made, "scores/mine", StageMark("score", "h", {"vectors": {"look": URI}}, {URI: "r1"}))
    commit(made, tmp_path)
    return made


def problems(store: Store) -> list[str]:
    return [f"{one.where}: {one.what}" for one in check(store, decode=False)]


def test_a_reader_gets_what_was_committed(store: Store, tmp_path: Path) -> None:
    made = commit(store, tmp_path)
    found = pickle.loads(pickle.dumps(ScoreSet.open(store, "mine")))
    assert score_sets(store) == ["mine"]
    assert (found.columns, found.shards) == (("number", "tag"), (0,))
    assert found.vectors == {"look": VectorFact(3, URI, "r1")}
    assert found.table(0, ["number"]).column_names == ["key", "shard", "number"]
    assert found.table(0)["number"].to_pylist() == list(range(len(made)))
    vectors = found.vector(0, "look")
    assert isinstance(vectors, np.memmap) and vectors.dtype == np.float16
    np.testing.assert_array_equal(vectors, made)
    assert found.files() == [store.path(NAME)]
    assert problems(store) == []


def test_vectors_of_an_object_store_are_read(store: Store, tmp_path: Path) -> None:
    import fsspec

    remote = fsspec.filesystem("memory")
    remote.put(store.root, "/scored", recursive=True)
    try:
        found = ScoreSet.open(Store("memory://scored"), "mine")
        np.testing.assert_array_equal(found.vector(0, "look"), commit(store, tmp_path))
    finally:
        remote.rm("/scored", recursive=True)


def test_a_set_without_tables_has_no_columns(store: Store) -> None:
    write_stage(store, "scores/new", StageMark("score", "h"))
    assert ScoreSet.open(store, "new").columns == ()


def test_an_unknown_set_is_refused_with_those_that_are_there(store: Store) -> None:
    with pytest.raises(ShardError, match="has no score set 'yours' \\(there are: mine\\)"):
        ScoreSet.open(store, "yours")


def test_a_table_of_another_hash_is_refused_with_the_remedy(store: Store, tmp_path: Path) -> None:
    commit(store, tmp_path, hash_="other")
    found = ScoreSet.open(store, "mine")
    for read in (found.files, lambda: found.table(0), lambda: found.vector(0, "look")):
        with pytest.raises(
            ShardError, match=r"other settings \(other\) than its set \(h\); make it again with `curate"
        ):
            read()
    assert any("was made with other settings" in one for one in problems(store))


def test_vectors_that_the_set_does_not_have_are_refused(store: Store) -> None:
    with pytest.raises(ShardError, match=r"no vectors 'clip' \(there are: look\)"):
        ScoreSet.open(store, "mine").vector(0, "clip")


def test_vectors_must_have_a_row_for_each_clip(store: Store, tmp_path: Path) -> None:
    keys = read_table(store, "media/0000000.parquet")["key"]
    table = pa.table({"key": keys, "shard": pa.array([0] * len(keys), pa.int32())}, schema=score_schema({}))
    with pytest.raises(ShardError, match=r"vectors look of shape \(2, 3\)"):
        made = ShardScores(0, table, {"look": np.zeros((2, 3))})
        commit_scores(store, tmp_path, "scores/mine", made, Artifact("score", "h"))


def test_another_vector_is_another_digest(store: Store, tmp_path: Path) -> None:
    first = read_artifact(store, NAME).digest
    commit(store, tmp_path, vectors=4)
    second = read_artifact(store, NAME).digest
    commit(store, tmp_path, vectors=None)
    assert len({first, second, read_artifact(store, NAME).digest}) == 3


def test_check_reports_vectors_that_are_damaged_gone_or_cut_short(store: Store) -> None:
    path = Path(store.path("scores/mine/0000000.look.npy"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"\x7f")
    assert any("0000000.look.npy" in one and "SHA-256" in one.replace("sha256", "SHA-256") for one in problems(store))
    path.write_bytes(whole[:-2])
    assert any("0000000.look.npy" in one for one in problems(store))
    with pytest.raises(ShardError, match="is not the file that its table names"):
        ScoreSet.open(store, "mine").vector(0, "look")
    path.unlink()
    assert any("0000000.look.npy" in one for one in problems(store))


def test_check_reports_rows_that_are_not_the_medias(store: Store, tmp_path: Path) -> None:
    table = read_table(store, NAME).replace_schema_metadata(None)
    for wrong, words in (
        (table.slice(1), "rows, its shard has"),
        (table.take(list(reversed(range(table.num_rows)))), "is in the place of clip"),
        (table.set_column(1, table.schema.field(1), pa.array([5] * table.num_rows, pa.int32())), "of another shard"),
        (table.set_column(2, "number", pa.array([np.nan] * table.num_rows, pa.float32())), "number has values that"),
    ):
        artifact = Artifact("score", "h", inputs=read_artifact(store, NAME).inputs)
        commit_scores(store, tmp_path, "scores/mine", ShardScores(0, wrong), artifact)
        assert any(words in one for one in problems(store)), words


def test_check_reports_a_table_that_is_none_of_scores(store: Store, tmp_path: Path) -> None:
    from shards.writer import commit_record

    table = pa.table({"clip": ["a"]})
    commit_record(store, tmp_path, NAME, table, Artifact("score", "h"))
    assert f"{NAME}: its columns are not those of the schema" in problems(store)


def test_check_reports_files_that_do_not_belong_to_a_set(store: Store) -> None:
    store.commit_bytes(b"", "scores/mine/notes.txt")
    store.commit_bytes(b"", "scores/mine/first.look.npy")
    assert {"scores/mine/notes.txt: does not belong here", "scores/mine/first.look.npy: does not belong here"} <= {
        *problems(store)
    }


def test_check_reports_scores_of_other_media(store: Store, tmp_path: Path) -> None:
    table = read_table(store, NAME).replace_schema_metadata(None)
    artifact = Artifact("score", "h", inputs={"media/0000000.parquet": "older"})
    commit_scores(store, tmp_path, "scores/mine", ShardScores(0, table), artifact)
    assert any("was made from another media/0000000.parquet" in one for one in problems(store))


def test_a_commit_that_is_cut_off_leaves_no_table(store: Store, tmp_path: Path) -> None:
    class Full(Store):
        def commit(self, local: Path, name: str) -> None:
            if name.endswith(".parquet"):
                raise OSError(28, "No space left on device")
            super().commit(local, name)

    table = ScoreSet.open(store, "mine").table(0).replace_schema_metadata(None)
    made = ShardScores(0, table, {"look": np.ones((table.num_rows, 2), np.float32)})
    with pytest.raises(OSError, match="No space left"):
        commit_scores(Full(store.root), tmp_path, "scores/mine", made, Artifact("score", "h"))
    assert ScoreSet.open(store, "mine").shards == ()
    assert [one for one in problems(store) if "scores" in one] == []
    commit(store, tmp_path)
    assert ScoreSet.open(store, "mine").vectors["look"].width == 3
    assert not list(tmp_path.glob("commit-*"))
