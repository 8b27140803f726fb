"""The score `embedding` from features that exist already: their rows are averaged, nothing is decoded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.feature_sets import write_features
from support.open_clip_models import open_clip_folder
from support.shard_factory import LAYER, build_dir

from curation.scores.embeddings.embedding_settings import EmbeddingSettings
from curation.scores.score_registry import ScoreSettings
from curation.scores.score_stage import TextFolder, score_worker
from curation.stages.shard_table import ShardTable
from runtime.errors import UserError
from shards.manifest import StageMark, write_stage
from shards.reader import read_table
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store


def scored(store: Store, scratch: Path, **settings: Any) -> ScoreSet:
    """Score shard 0 of a DIR with `embedding`."""
    values = ScoreSettings.model_validate({"scores": ["embedding"], "embedding": settings})
    output = ShardTable("score", store.root, "scores/seen", str(scratch), "hash")
    texts = TextFolder(f"text/{LAYER}", f"text/{LAYER}")
    result = asyncio.run(score_worker(output, values, texts, {}).process(0))
    assert result.fatal is None, result.fatal
    write_stage(store, "scores/seen", StageMark("score", "hash"))
    return ScoreSet.open(store, "seen")


def test_a_clip_is_the_mean_of_the_rows_in_its_time_and_nothing_is_decoded(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=2)
    write_features(store.root)
    (tmp_path / "dir/media/0000000.tar").unlink()
    (tmp_path / "dir/media/0000000.tar").write_bytes(b"")
    found = scored(store, tmp_path / "scratch", features="seconds", text=[])
    assert set(found.vectors) == {"clip"} and found.columns == ()
    array = np.load(tmp_path / "dir/features/seconds/0000000.npy").astype(np.float64)
    roots = {row["root_key"]: row for row in read_table(store, "features/seconds/0000000.parquet").to_pylist()}
    for row, vector in zip(
        read_table(store, "media/0000000.parquet").to_pylist(), found.vector(0, "clip"), strict=True
    ):
        root, end = roots[row["root_key"]], row["offset"] + row["end"] - row["start"]
        inside = [at for at, time in enumerate(root["times"]) if row["offset"] <= time < end]
        rows = array[[root["first"] + at for at in inside]]
        expected = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
        assert vector @ (expected / np.linalg.norm(expected)) == pytest.approx(1.0, abs=2e-3)


def test_a_root_without_features_has_no_vector(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=2)
    media = read_table(store, "media/0000000.parquet").to_pylist()
    write_features(store.root, has=lambda key: key != media[0]["root_key"])
    found = scored(store, tmp_path / "scratch", features="seconds", text=[])
    missing = np.isnan(found.vector(0, "clip")).all(axis=1).tolist()
    assert missing == [row["root_key"] == media[0]["root_key"] for row in media]


def test_texts_are_compared_with_features_of_the_same_model_alone(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=6)
    model = f"path://{open_clip_folder(tmp_path / 'tower')}"
    write_features(store.root, width=24, encoder=f"clip:{model}@1fps", name="same")
    write_features(store.root, width=24, encoder="clip:path:///other", name="other")
    found = scored(store, tmp_path / "scratch", features="same", model=model)
    assert found.table(0)["match"].null_count == 0
    with pytest.raises(UserError, match=r"features='other': made by the encoder clip:path:///other, texts by path://"):
        scored(store, tmp_path / "scratch", features="other", model=model)


def test_a_set_that_is_missing_or_incomplete_is_refused(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=2, videos_per_shard=1)
    write_features(store.root)
    with pytest.raises(UserError, match=r"features='secnds': .* \(did you mean 'seconds'\?\)"):
        scored(store, tmp_path / "scratch", features="secnds", text=[])
    (tmp_path / "dir/features/seconds/0000001.parquet").unlink()
    with pytest.raises(UserError, match=r"lacks 1 shards that have media \(0000001, …\)"):
        scored(store, tmp_path / "scratch", features="seconds", text=[])


def test_only_settings_of_the_source_in_use_are_content() -> None:
    tower, same = EmbeddingSettings(), EmbeddingSettings(frames=2, instruction="other", device="cuda")
    assert tower.content() == same.content()
    features = EmbeddingSettings(features="seconds", text=())
    assert features.content() == {"features": "seconds", "text": []}
    with pytest.raises(ValueError, match="both set; leave one"):
        EmbeddingSettings(features="seconds", engine="vectors")
