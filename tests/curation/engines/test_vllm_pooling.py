"""Vectors of texts, pictures and videos from a real vLLM engine with a pooling model: a tiny random Qwen2-VL."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.shard_factory import encode_root
from support.tiny_models import tiny_video_vlm

from curation.engines.engine_interface import FramesRef, ImageRef, Request
from curation.engines.vllm_engine import VllmEngine
from curation.engines.vllm_settings import VllmSettings


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
