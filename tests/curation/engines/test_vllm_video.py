"""Clips as several pictures and as one video in one request to a real vLLM engine, with a tiny random Qwen2-VL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.shard_factory import encode_root
from support.tiny_models import tiny_video_vlm

from curation.engines.engine_interface import Answer, FramesRef, ImageRef, Request
from curation.engines.vllm.vllm_engine import VllmEngine
from curation.engines.vllm.vllm_settings import VllmSettings

pytestmark = pytest.mark.engine

TIMES = (0.5, 1.5, 2.5, 3.5)
LABELS = tuple(f"{time:.1f} s:" for time in TIMES)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmEngine]:
    pytest.importorskip("vllm", reason="vLLM is not installed (extra cpu or gpu)")
    folder = tiny_video_vlm(tmp_path_factory.mktemp("qwen"))
    started = VllmEngine(
        VllmSettings(
            model=f"path://{folder}",
            dtype="float32",
            max_model_len=1024,
            enforce_eager=True,
            kv_cache_gb=0.125,
            images_per_prompt=4,
            videos_per_prompt=1,
        )
    )
    yield started
    started.close()


def request(stored: ImageRef, key: str, *, as_video: bool, times: tuple[float, ...] = TIMES) -> Request:
    frames = FramesRef(stored, times, LABELS[: len(times)] * (len(times) // len(LABELS) or 1), as_video)
    return Request(key, "", "What happens?", frames=frames, max_tokens=8)


def test_a_clip_reaches_the_model_as_pictures_or_as_one_video(engine: VllmEngine, tmp_path: Path) -> None:
    data = encode_root(64, 112, 84)
    (tmp_path / "root.mp4").write_bytes(data)
    stored = ImageRef(str(tmp_path / "root.mp4"), 0, len(data))
    every = tuple(number / 2 for number in range(8))
    requests = [
        Request("text", "", "What happens?", max_tokens=8),
        request(stored, "pictures", as_video=False),
        request(stored, "video", as_video=True),
        request(stored, "longer", as_video=True, times=every),
        request(stored, "too many", as_video=False, times=every),
    ]
    answers: dict[str, Answer] = asyncio.run(engine.generate(requests))
    errors = {key: answer.error for key, answer in answers.items()}
    assert (errors.pop("too many") or "").startswith("refused: ")
    assert set(errors.values()) == {None}
    tokens = {key: answer.prompt_tokens - answers["text"].prompt_tokens for key, answer in answers.items()}
    assert tokens["pictures"] > tokens["video"] > 0, "two frames of a video share their tokens"
    assert tokens["longer"] > tokens["video"], "all eight frames are looked at, none is left out"
