"""The score `embedding`: vectors agree with open_clip itself, and match with its definition, on a real DIR."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import open_clip
import pytest
import torch
from support.open_clip_models import open_clip_folder
from support.scored_videos import clip_row, flat, video_of
from support.shard_factory import LAYER, build_dir

from curation.scores.embeddings.embedding_score import EMBEDDING, build_scorer
from curation.scores.embeddings.embedding_settings import EmbeddingSettings
from curation.scores.embeddings.row_pooling import mean_direction
from curation.scores.root_scores import NamedScorer, score_root
from curation.scores.score_stage import ScoreWorker, TextFolder
from curation.stages.shard_table import ShardTable
from shards.reader import read_table
from shards.scores.match import cosines, percentiles
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_clip_folder(tmp_path_factory.mktemp("tower"))


def scorer(folder: Path, **settings: Any) -> NamedScorer:
    values = EmbeddingSettings.model_validate({"model": f"path://{folder}", **settings})
    return NamedScorer("embedding", values.columns(), build_scorer(values))


def frames_at(data: bytes, seconds: list[int]) -> list[Any]:
    """Decode a video as open_clip's users do, and return the pictures at full seconds."""
    with av.open(io.BytesIO(data)) as container:
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    return [pictures[8 * second] for second in seconds]


def by_open_clip(folder: Path, pictures: list[Any]) -> np.ndarray:
    """The mean of the unit vectors of pictures, of length 1, by open_clip alone."""
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    with torch.inference_mode():
        vectors = model.eval().encode_image(torch.stack([transform(each) for each in pictures]), normalize=True)
        return torch.nn.functional.normalize(vectors.mean(dim=0), dim=0).numpy()


def test_a_clip_is_the_mean_of_its_frames_by_open_clip(folder: Path) -> None:
    data = video_of([flat(20 + 28 * (number // 8)) for number in range(64)])
    root, part = clip_row(0, 8), clip_row(2, 5, parent="root")
    rows = score_root([scorer(folder, text=[])], [root, part], {}, lambda: data, Counter())
    for row, seconds in zip(rows, ([*range(8)], [2, 3, 4]), strict=True):
        expected = by_open_clip(folder, frames_at(data, seconds))
        assert row["clip"] @ expected == pytest.approx(1.0, abs=1e-3)
        assert np.linalg.norm(row["clip"]) == pytest.approx(1.0, abs=1e-5)
    assert rows[0]["clip"] @ rows[1]["clip"] < 0.99999, "clips of other frames have other vectors"


def worker(store: Store, scratch: Path, each: NamedScorer) -> ScoreWorker:
    texts = TextFolder(f"text/{LAYER}", f"text/{LAYER}")
    return ScoreWorker(ShardTable("score", store.root, "scores/seen", str(scratch), "hash"), [each], texts)


def test_vectors_and_match_are_stored_beside_each_other(folder: Path, tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=6)
    result = asyncio.run(worker(store, tmp_path / "scratch", scorer(folder, batch=5)).process(0))
    assert result.fatal is None and not [name for name in result.counts if name.startswith("failed")]
    (tmp_path / "dir/scores/seen/_stage.json").write_text('{"stage": "score", "content_hash": "hash"}')
    found = ScoreSet.open(store, "seen")
    clip_ND, text_ND = found.vector(0, "clip"), found.vector(0, "text")
    assert clip_ND.shape == text_ND.shape == (found.table(0).num_rows, 24)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    rows = read_table(store, f"text/{LAYER}/0000000.parquet").to_pylist()
    texts = [row["grounded_text"] or row["caption"] for row in rows]
    with torch.inference_mode():
        expected_ND = model.eval().encode_text(tokenizer(texts), normalize=True).numpy()
    assert np.allclose(text_ND, expected_ND, atol=2e-3)
    table, videos = found.table(0), [row["video_id"] for row in rows]
    assert np.allclose(table["match"].to_numpy(), cosines(clip_ND, text_ND), atol=1e-6)
    assert np.allclose(table["match_percentile"].to_numpy(), percentiles(clip_ND, text_ND, videos), atol=1e-6)


def test_without_texts_there_is_no_match_and_a_broken_root_has_no_vector(folder: Path, tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=2)
    media = read_table(store, "media/0000000.parquet").to_pylist()
    tar = tmp_path / "dir/media/0000000.tar"
    data = bytearray(tar.read_bytes())
    first, size = media[-1]["byte_offset"], media[-1]["byte_size"]
    data[first : first + size] = bytes(size)
    tar.write_bytes(data)
    made = worker(store, tmp_path / "scratch", scorer(folder, text=["subtitle_summary"]))
    result = asyncio.run(made.process(0))
    broken = [row["root_key"] == media[-1]["root_key"] for row in media]
    assert result.counts["failed:decode"] == sum(broken)
    (tmp_path / "dir/scores/seen/_stage.json").write_text('{"stage": "score", "content_hash": "hash"}')
    found = ScoreSet.open(store, "seen")
    assert np.isnan(found.vector(0, "clip")).all(axis=1).tolist() == broken
    texts = [row["subtitle_summary"] for row in read_table(store, f"text/{LAYER}/0000000.parquet").to_pylist()]
    assert not all(texts)
    for row, text, is_broken in zip(found.table(0).to_pylist(), texts, broken, strict=True):
        assert (row["match"] is None) == (not text or is_broken)
        assert row["match_percentile"] is None


def test_vectors_name_their_model_and_match_needs_texts(folder: Path) -> None:
    settings = EmbeddingSettings(model=f"path://{folder}")
    assert [column.name for column in settings.columns()] == ["clip", "text", "match", "match_percentile"]
    assert EMBEDDING.models(settings) == {"model": f"path://{folder}"}
    assert EMBEDDING.needs_texts(settings)
    assert not EMBEDDING.needs_texts(EmbeddingSettings(text=()))
    with pytest.raises(ValueError, match="not a column with text"):
        EmbeddingSettings(text=("claims",))


def test_the_mean_counts_every_frame_the_same_and_refuses_what_has_no_direction() -> None:
    assert mean_direction([np.array([9.0, 0]), np.array([0, 0.1])]) == pytest.approx([0.5**0.5] * 2)
    assert mean_direction([]) is None
    assert mean_direction([np.array([1.0, 0]), np.array([-1.0, 0])]) is None
    assert mean_direction([np.array([np.nan, 0])]) is None
    assert mean_direction([np.zeros(2)]) is None
