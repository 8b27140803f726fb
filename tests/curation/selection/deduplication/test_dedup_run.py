"""`curate dedup` over whole DIRs: what it writes, what it does not do twice, and what it does after it was killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.duplicates import SET, VECTORS, WIDTH, dedup, rows_of, score, score_all, some_hashes, some_vectors
from support.shard_factory import add_shard, build_dir

from curation.selection.deduplication.semantic import semantic_workers
from runtime.errors import UserError
from shards.checks.check_dir import check
from shards.errors import ShardError
from shards.reader import read_artifact, read_table
from shards.schema import DUPLICATES
from shards.storage.store import Store

SEMANTIC = {"vectors": VECTORS, "threshold": 0.95}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR with two shards of one whole tree and a short root each; the scores of no clip are near another's."""
    made = build_dir(tmp_path / "dir", shards=2, videos_per_shard=1)
    score_all(made)
    return made


def keys(store: Store, shard: int) -> list[str]:
    return read_table(store, f"media/{shard:07d}.parquet")["key"].to_pylist()


def test_roots_with_the_same_bytes_are_exact_duplicates(store: Store) -> None:
    result = dedup(store, exact=True)
    first, second = keys(store, 0), keys(store, 1)
    rows = rows_of(store)
    assert result.removed == {"exact": len(second)}
    assert {key: rows[key]["group"] for key in second[:2]} == {second[0]: first[0], second[1]: first[0]}
    assert rows[first[0]]["keep"] and not rows[second[0]]["keep"]
    assert read_table(store, result.file).schema.remove_metadata().equals(DUPLICATES)
    assert check(store, decode=False) == []


def test_near_vectors_of_one_level_are_semantic_duplicates(store: Store) -> None:
    vectors = some_vectors(len(keys(store, 1)), 1)
    vectors[2] = some_vectors(len(keys(store, 0)), 0)[2] + 0.05
    score(store, 1, vectors=vectors)
    result = dedup(store, semantic=SEMANTIC)
    rows = rows_of(store)
    assert set(rows) == {keys(store, 0)[2], keys(store, 1)[2]}
    assert rows[keys(store, 1)[2]] | {"score": 1} == {
        "key": keys(store, 1)[2], "shard": 1, "group": keys(store, 0)[2], "kind": "semantic", "score": 1, "keep": False,
    }  # fmt: skip
    assert 0.95 <= rows[keys(store, 1)[2]]["score"] <= 1
    shares = [share for _, share in result.curve]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0


def test_clips_of_other_levels_are_not_compared(store: Store) -> None:
    vectors = np.tile(some_vectors(1, 0), (len(keys(store, 0)), 1))
    score(store, 0, vectors=vectors)
    dedup(store, semantic=SEMANTIC)
    levels = dict(zip(keys(store, 0), read_table(store, "media/0000000.parquet")["level"].to_pylist(), strict=True))
    assert all(levels[key] == levels[row["group"]] for key, row in rows_of(store).items())


def test_clips_without_a_vector_are_no_duplicates(store: Store) -> None:
    for shard in (0, 1):
        vectors = np.full((len(keys(store, shard)), WIDTH), np.nan)
        vectors[0, 0] = np.inf
        score(store, shard, vectors=vectors)
    assert dedup(store, semantic=SEMANTIC).removed == {"semantic": 0}


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_roots_whose_frames_agree_are_perceptual_duplicates(store: Store, is_mirrored: bool) -> None:
    from curation.selection.deduplication.perceptual.frame_hash import mirrored

    copy = some_hashes(0) ^ np.uint64(0b1011)
    score(store, 1, hashes={0: mirrored(copy) if is_mirrored else copy})
    dedup(store, perceptual={"scores": SET})
    rows = rows_of(store)
    assert {row["group"] for row in rows.values()} == {keys(store, 0)[0]}
    assert {key for key, row in rows.items() if not row["keep"]} == set(keys(store, 1)[:-1])  # all but the short root
    assert rows[keys(store, 1)[0]]["score"] == pytest.approx(1 - 3 / 64)


def test_a_video_that_looks_alike_all_the_time_is_no_copy_of_itself(store: Store) -> None:
    still = np.full_like(some_hashes(0), some_hashes(0)[0])
    score(store, 0, hashes={0: still, 1: still})
    dedup(store, perceptual={"scores": SET})
    assert rows_of(store) == {}


def test_the_order_decides_which_one_stays(store: Store) -> None:
    dedup(store, exact=True, keep=("longest",))
    assert not rows_of(store)[keys(store, 1)[0]]["keep"]
    for shard, number in ((0, 1.0), (1, 2.0)):
        add_score(store, shard, number)
    dedup(store, exact=True, keep=(f"{SET}.looks",))
    assert rows_of(store)[keys(store, 1)[0]]["keep"]


def add_score(store: Store, shard: int, value: float) -> None:
    """Commit a score that all clips of a shard have."""
    from tempfile import TemporaryDirectory

    from shards.artifact import Artifact
    from shards.scores.score_writer import ShardScores, commit_scores, score_schema

    own = keys(store, shard)
    columns = {"key": own, "shard": [shard] * len(own), "looks": [value] * len(own)}
    table = pa.table(columns, schema=score_schema({"looks": pa.float32()}))
    with TemporaryDirectory() as scratch:
        commit_scores(store, Path(scratch), f"scores/{SET}", ShardScores(shard, table), Artifact("score", "h"))


def test_a_second_run_compares_only_new_shards(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = {"exact": True, "semantic": SEMANTIC, "perceptual": {"scores": SET}}
    dedup(store, **everything)
    (tmp_path / "scratch").mkdir()
    add_shard(store, tmp_path / "scratch", 2, 1)
    score(store, 2, vectors=some_vectors(len(keys(store, 2)), 0), hashes={0: some_hashes(0)})
    seen: list[int] = []
    plain = semantic_workers.similar_pairs
    monkeypatch.setattr(
        semantic_workers, "similar_pairs", lambda v, new, floor: seen.append(int(new.sum())) or plain(v, new, floor)
    )
    dedup(store, **everything)
    assert sum(seen) == len(keys(store, 2))
    grown = rows_of(store)
    dedup(store, "fresh", **everything)
    assert grown == rows_of(store, "fresh")
    assert {row["kind"] for row in grown.values()} == {"exact"}


def test_nothing_is_compared_again_for_another_threshold(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    dedup(store, semantic=SEMANTIC)
    monkeypatch.setattr(semantic_workers, "similar_pairs", None)
    assert dedup(store, semantic=SEMANTIC | {"threshold": 0.85}).removed["semantic"] >= 0


def test_a_shard_whose_scores_have_changed_is_compared_again(store: Store) -> None:
    score(store, 1, vectors=some_vectors(len(keys(store, 1)), 0))
    assert dedup(store, semantic=SEMANTIC).removed["semantic"] == len(keys(store, 1))
    score(store, 1)
    assert dedup(store, semantic=SEMANTIC).removed["semantic"] == 0


def test_copies_of_a_root_that_is_gone_are_still_copies_of_each_other(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    add_shard(store, tmp_path / "scratch", 2, 1)
    dedup(store, exact=True)
    store.delete("media/0000000.parquet")
    dedup(store, exact=True)
    assert rows_of(store)[keys(store, 2)[0]]["group"] == keys(store, 1)[0]


def test_a_killed_run_goes_on_and_ends_with_the_same_table(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    score(store, 1, vectors=some_vectors(len(keys(store, 1)), 0))
    dedup(store, "whole", semantic=SEMANTIC)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(semantic_workers, "similar_pairs", killed)
        with pytest.raises(KeyboardInterrupt):
            dedup(store, semantic=SEMANTIC)
    (work,) = store.folders("duplicates/.all")
    assert len(store.list(f"duplicates/.all/{work}/sorted")) == 4  # rows and leaves of two shards
    with monkeypatch.context() as patch:
        patch.setattr(semantic_workers.SortWorker, "_make", killed)  # what is done is not done again
        dedup(store, semantic=SEMANTIC)
    assert rows_of(store) == rows_of(store, "whole")
    digests = [read_artifact(store, f"duplicates/{name}.parquet").digest for name in ("all", "whole")]
    assert digests[0] == digests[1]
    assert store.folders("duplicates/.all") == []


def test_vectors_of_another_model_are_refused(store: Store) -> None:
    score(store, 1, vectors=np.ones((len(keys(store, 1)), WIDTH + 1)))
    with pytest.raises(UserError, match=r"--vectors mine.look: shard 1 has 17 numbers .* others have 16: .* models"):
        dedup(store, semantic=SEMANTIC)


def test_scores_of_other_media_are_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    add_shard(store, tmp_path / "scratch", 1, 3)
    with pytest.raises(UserError, match=r"scores of shard 1 were made from another media; run `curate run"):
        dedup(store, semantic=SEMANTIC)


def test_shards_without_scores_are_left_out_and_counted(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    add_shard(store, tmp_path / "scratch", 2, 1)
    assert dedup(store, semantic=SEMANTIC).left_out == {"semantic": 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"semantic": {"vectors": "mine.loko"}}, r"--vectors mine.loko: no such vectors \(did you mean 'look'\?\)"),
        ({}, r"name at least one of --exact, --perceptual and --semantic"),
    ],
)
def test_what_is_not_there_is_named(store: Store, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        dedup(store, **settings)


def test_a_score_set_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(ShardError, match=r"no score set 'other' \(there are: mine\)"):
        dedup(store, perceptual={"scores": "other"})


def test_an_empty_dir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no media yet"):
        dedup(Store(tmp_path), exact=True)
