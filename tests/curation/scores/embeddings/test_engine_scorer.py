"""Vectors of texts, pictures and clips from a real vLLM engine with a pooling model: a tiny random Qwen2-VL."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.curate_runs import CHEAP, config_in
from support.shard_factory import LAYER, build_dir, encode_root
from support.tiny_models import tiny_video_vlm

from curation.engines.engine_interface import FramesRef, ImageRef, Request
from curation.engines.vllm.vllm_engine import VllmEngine
from curation.engines.vllm.vllm_settings import VllmSettings
from curation.pipeline import load_pipeline
from curation.scores.score_registry import ScoreSettings
from curation.scores.score_stage import SCORE, TextFolder, score_worker
from curation.stages.shard_table import ShardTable
from runtime.errors import UserError
from runtime.ray_runner.stage import LocalService
from shards.manifest import StageMark, write_stage
from shards.reader import read_table
from shards.scores.score_set import ScoreSet


def test_the_runner_decides_what_an_engine_makes() -> None:
    assert VllmSettings(model="path:///m", engine={"runner": "pooling"}).does == "makes vectors"
    assert VllmSettings(model="path:///m").does == "answers prompts"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmEngine]:
    pytest.importorskip("vllm", reason="vLLM is not installed (extra cpu or gpu)")
    started = VllmEngine(
        VllmSettings(
            model=f"path://{tiny_video_vlm(tmp_path_factory.mktemp('qwen'))}",
            dtype="float32",
            max_model_len=1024,
            enforce_eager=True,
            kv_cache_gb=0.125,
            images_per_prompt=4,
            videos_per_prompt=1,
            engine={"runner": "pooling"},
        )
    )
    yield started
    started.close()


@pytest.mark.engine
def test_every_request_has_a_vector_of_its_own(engine: VllmEngine, tmp_path: Path) -> None:
    data = encode_root(64, 112, 84)
    (tmp_path / "root.mp4").write_bytes(data)
    stored = ImageRef(str(tmp_path / "root.mp4"), 0, len(data))
    times = (0.5, 1.5, 2.5, 3.5)
    frames = [FramesRef(stored, times, ("",) * 4, as_video) for as_video in (False, True)]
    requests = [
        Request("text", "Represent it.", "a red wall"),
        Request("same text", "Represent it.", "a red wall"),
        Request("other text", "Represent it.", "a blue wall"),
        Request("pictures", "Represent it.", "", frames=frames[0]),
        Request("video", "Represent it.", "", frames=frames[1]),
        Request("gone", "Represent it.", "", frames=FramesRef(ImageRef("/no/such.mp4", 0, 9), (0.0,), ("",))),
        Request("long", "Represent it.", "wall " * 2000),
    ]
    answers = asyncio.run(engine.generate(requests))
    errors = {key: answer.error for key, answer in answers.items() if answer.error}
    assert set(errors) == {"gone", "long"} and errors["long"] == "too_long"
    vectors = {key: answer.vector for key, answer in answers.items() if not answer.error}
    assert {len(vector) for vector in vectors.values()} == {64}
    assert [math.hypot(*vector) for vector in vectors.values()] == pytest.approx([1.0] * 5)
    assert vectors["text"] == pytest.approx(vectors["same text"], abs=1e-4)
    names = ["text", "other text", "pictures", "video"]
    cosines = np.array([vectors[name] for name in names]) @ np.array([vectors[name] for name in names]).T
    assert cosines[~np.eye(4, dtype=bool)].max() < 0.9999


@pytest.mark.engine
def test_clips_and_texts_of_a_shard_get_vectors_and_a_match(engine: VllmEngine, tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=6)
    values = {"scores": ["embedding"], "embedding": {"engine": "vectors", "frames": 4}}
    output = ShardTable("score", store.root, "scores/seen", str(tmp_path / "scratch"), "hash")
    texts, services = TextFolder(f"text/{LAYER}", f"text/{LAYER}"), {"vectors": LocalService(engine)}
    result = asyncio.run(score_worker(output, ScoreSettings.model_validate(values), texts, services).process(0))
    assert result.fatal is None and not [name for name in result.counts if name.startswith("failed")]
    write_stage(store, "scores/seen", StageMark("score", "hash"))
    found = ScoreSet.open(store, "seen")
    assert {name: fact.width for name, fact in found.vectors.items()} == {"clip": 64, "text": 64}
    assert found.table(0)["match"].null_count == found.table(0)["match_percentile"].null_count == 0
    media = read_table(store, "media/0000000.parquet").to_pylist()
    clip_ND = found.vector(0, "clip").astype(np.float32)
    assert np.linalg.norm(clip_ND, axis=1) == pytest.approx([1.0] * len(media), abs=2e-3)
    assert clip_ND[0] @ clip_ND[1] < 0.9999, "a root and a clip in it have other frames"


EMBED = ["score.scores=[embedding]", "score.embedding.engine=vectors"]
POOLING = "engines.vectors={kind: vllm, model: 'path:///m', videos_per_prompt: 1, engine: {runner: pooling}}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["engines.vectors={kind: vllm, model: 'path:///m', videos_per_prompt: 1}"], "name one that makes vectors"),
        ([POOLING, "engines.vectors.videos_per_prompt=0"], "engines.vectors.videos_per_prompt=0: .* asks for 1"),
        ([POOLING, "rewrite.engine=vectors"], "rewrite.engine='vectors': .* that makes vectors; name one that answers"),
    ],
)
def test_an_engine_that_does_not_fit_is_refused(settings: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        load_pipeline(CHEAP, Path(config_in(tmp_path)), [*EMBED, *settings])


def test_the_record_names_the_model_of_the_engine(tmp_path: Path) -> None:
    settings = load_pipeline(CHEAP, Path(config_in(tmp_path)), [*EMBED, POOLING])
    assert SCORE.content(settings)["vectors"] == {"clip": "path:///m", "text": "path:///m"}
    assert SCORE.engines(settings) == {"score.embedding.engine": "vectors"}
