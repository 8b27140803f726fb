"""`eval-vidla score`: vectors, match and percentile of every clip of a DIR, resumed, refused, replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from support.shard_factory import LAYER, build_dir

from shards.checks.check_dir import check
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.schema import TEXT
from shards.scores.match import LEAST_PAIRS, cosines, percentiles
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store
from shards.writer import commit_table
from training.engine.parallel.distributed import Ranks
from training.evaluation.scoring.shard_clips import read_clips
from training.evaluation.video.embeddings import EmbeddingOptions, embed_texts, embed_videos
from training.evaluation.video.models.open_model import open_model, weights_hash
from training.models.vidla.vidla_folder import save
from training.vidla.eval_vidla import main

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "best"
    save(open_model("random:tiny", 8, CPU)[0], folder)
    return folder


def score(store: Store, checkpoint: Path, *more: object) -> int:
    fixed = ("--checkpoint", checkpoint, "--shards", store.root, "--name", "first", "--device", "cpu", "--workers", 1)
    return main(["score", *map(str, fixed), "--frames", "8", *map(str, more)])


def change_texts(store: Store, shard: int, change: Callable[[dict[str, object]], None]) -> None:
    """Write the texts of a shard again, each changed in place."""
    name = f"text/{LAYER}/{shard_name(shard)}.parquet"
    rows = read_table(store, name).to_pylist()
    for row in rows:
        change(row)
    table = pa.Table.from_pylist(rows, schema=TEXT)
    commit_table(store, Path(store.root), name, table, read_artifact(store, name))


def test_vectors_are_the_models_and_match_is_theirs(tmp_path: Path, checkpoint: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=6)
    assert score(store, checkpoint, "--text", "caption") == 0
    found = ScoreSet.open(store, "first")
    model, frames = open_model(str(checkpoint), 8, CPU)
    clips = read_clips(store, 0, LAYER, ["caption"])
    options = EmbeddingOptions(frames, snap=True)
    expected_ND, failed = embed_videos(model, clips.items, options, Ranks())
    texts = [text or "" for text in clips.texts]
    assert not failed and all(texts)
    assert np.allclose(found.vector(0, "clip"), expected_ND, atol=2e-3)
    assert np.allclose(found.vector(0, "text"), embed_texts(model, texts), atol=2e-3)
    table = found.table(0)
    media = read_table(store, "media/0000000.parquet")
    assert table["key"].to_pylist() == media["key"].to_pylist()
    clip_ND, text_ND = found.vector(0, "clip"), found.vector(0, "text")
    videos = media["video_id"].to_pylist()
    assert np.allclose(table["match"].to_numpy(), cosines(clip_ND, text_ND))
    assert np.allclose(table["match_percentile"].to_numpy(), percentiles(clip_ND, text_ND, videos), equal_nan=True)
    assert len(videos) ** 2 > LEAST_PAIRS
    assert [each for each in check(store, decode=False) if "scores" in each.where] == []
    fact = found.vectors["clip"]
    assert (fact.width, fact.model) == (model.embed_dim, f"path://{checkpoint}")
    assert fact.revision == weights_hash(model)[:16] == found.vectors["text"].revision


def test_a_clip_without_a_text_and_one_that_can_not_be_decoded_have_no_match(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=2)
    media = read_table(store, "media/0000000.parquet").to_pylist()
    no_text = {"grounded_text": None, "caption": " "}
    change_texts(store, 0, lambda row: row.update(no_text if row["key"] == media[0]["key"] else {}))
    broken = media[-1]["root_key"]
    tar = tmp_path / "dir/media/0000000.tar"
    data = bytearray(tar.read_bytes())
    first, size = media[-1]["byte_offset"], media[-1]["byte_size"]
    data[first : first + size] = bytes(size)
    tar.write_bytes(data)
    assert score(store, checkpoint) == 0
    found = ScoreSet.open(store, "first")
    missing_clip = {row["key"] for row in media if row["root_key"] == broken}
    table = found.table(0).to_pylist()
    nan_clip = np.isnan(found.vector(0, "clip")).all(axis=1)
    nan_text = np.isnan(found.vector(0, "text")).all(axis=1)
    for row, clip, text in zip(table, nan_clip, nan_text, strict=True):
        assert clip == (row["key"] in missing_clip)
        assert text == (row["key"] == media[0]["key"])
        assert (row["match"] is None) == (clip or text)
        assert row["match_percentile"] is None, "two videos are too few"
    printed = capsys.readouterr().out
    assert f"{len(missing_clip)} not decoded: {len(missing_clip)} undecodable" in printed
    assert "1 without a text" in printed and "without a percentile: few videos a shard" in printed


def test_a_second_run_does_what_is_missing_or_has_changed(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build_dir(tmp_path / "dir", shards=3, videos_per_shard=1)
    assert score(store, checkpoint) == 0
    before = {name: entry.token for name, entry in store.list("scores/first").items()}
    (tmp_path / "dir/scores/first/0000001.text.npy").unlink()
    change_texts(store, 2, lambda row: row.update(grounded_text="something else"))
    capsys.readouterr()
    assert score(store, checkpoint) == 0
    assert "2 shards scored now" in capsys.readouterr().out
    after = {name: entry.token for name, entry in store.list("scores/first").items()}
    assert {name for name in before if before[name] == after[name]} == {
        "_stage.json", "0000000.parquet", "0000000.clip.npy", "0000000.text.npy"
    }  # fmt: skip
    assert score(store, checkpoint) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_scores_of_another_model_are_refused_and_replaced_on_request(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    assert score(store, checkpoint) == 0
    torch.manual_seed(9)
    other = open_model("random:tiny", 8, CPU)[0]
    with torch.no_grad():
        other.video.proj.add_(1.0)
    save(other, tmp_path / "other")
    assert score(store, tmp_path / "other") == 2
    assert "--name first: scores/first" in (said := capsys.readouterr().err) and "--replace" in said
    assert ScoreSet.open(store, "first").vectors["clip"].model == f"path://{checkpoint}"
    assert score(store, tmp_path / "other", "--replace") == 0
    replaced = ScoreSet.open(store, "first")
    assert replaced.vectors["clip"].model == f"path://{tmp_path / 'other'}"
    assert len(replaced.vector(0, "clip")) == replaced.table(0).num_rows


def test_mistakes_are_named(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    assert score(store, checkpoint, "--text", "captoin") == 2
    assert "did you mean 'caption'" in capsys.readouterr().err
    assert score(store, checkpoint, "--layer", "groundet") == 2
    assert "no such text layer" in capsys.readouterr().err
    assert score(Store(str(tmp_path / "nothing")), checkpoint) == 2
    assert "no folder that `curate run` wrote" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
