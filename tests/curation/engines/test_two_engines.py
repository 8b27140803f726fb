"""Two real vLLM engines at once: a writer, and a judge of another architecture that takes images and videos."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from support.shard_factory import encode_root
from support.tiny_video_model import tiny_video_model

from curation.engines import decisions
from curation.engines.engine_interface import Answer, FramesRef, ImageRef, Request
from curation.engines.vllm.vllm_engine import VllmEngine
from curation.engines.vllm.vllm_settings import VllmSettings
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import GroundSettings, build_cascade
from curation.grounding.pixels.clip_pictures import ClipPictures, StoredRoot
from runtime.ray_runner.stage import LocalService

TIMES = (0.1, 2.1, 4.1, 6.1)
LABELS = tuple(f"{time} s:" for time in TIMES)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory, vlm_engine: VllmEngine) -> Iterator[VllmEngine]:
    """A second engine beside the writer's, with its own model."""
    folder = tiny_video_model(tmp_path_factory.mktemp("models") / "tiny-video-model")
    settings = VllmSettings(
        model=f"path://{folder}",
        dtype="float32",
        max_model_len=1024,
        enforce_eager=True,
        kv_cache_gb=0.125,
        images_per_prompt=4,
        videos_per_prompt=1,
        engine={"skip_mm_profiling": True},
    )
    engine = VllmEngine(settings)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> ImageRef:
    """A stored root of eight seconds whose frames differ in brightness."""
    path, data = tmp_path_factory.mktemp("root") / "root.mp4", encode_root(64)
    path.write_bytes(data)
    return ImageRef(str(path), 0, len(data))


@pytest.mark.engine
def test_writer_and_judge_answer_at_the_same_time_each_with_its_own_model(
    vlm_engine: VllmEngine, judge: VllmEngine, stored: ImageRef
) -> None:
    writes = [Request(f"w{number}", "", f"say {number}", max_tokens=8) for number in range(8)]
    looks = [
        Request(f"j{number}", "", f"what is {number}?", frames=FramesRef(stored, TIMES[:2], LABELS[:2]), max_tokens=8)
        for number in range(8)
    ]

    async def both() -> tuple[dict[str, Answer], dict[str, Answer]]:
        return await asyncio.gather(vlm_engine.generate(writes), judge.generate(looks))

    written, judged = asyncio.run(both())
    assert list(written) == [request.key for request in writes]
    assert list(judged) == [request.key for request in looks]
    assert not any(answer.error for answer in (*written.values(), *judged.values()))


@pytest.mark.engine
def test_a_clip_is_one_video_or_several_images_and_the_order_of_frames_matters(
    judge: VllmEngine, stored: ImageRef
) -> None:
    every = tuple(number / 2 for number in range(8))
    shown = {
        "video": FramesRef(stored, TIMES, LABELS, as_video=True),
        "backwards": FramesRef(stored, TIMES[::-1], LABELS, as_video=True),
        "half": FramesRef(stored, TIMES[:2], LABELS[:2], as_video=True),
        "longer": FramesRef(stored, every, LABELS * 2, as_video=True),
        "images": FramesRef(stored, TIMES, LABELS),
        "too many images": FramesRef(stored, every, LABELS * 2),
    }
    requests = [Request(name, "", "What happens?", frames=frames, max_tokens=8) for name, frames in shown.items()]
    requests.append(Request("no frame", "", "What happens?", max_tokens=8))
    answers = asyncio.run(judge.generate(requests))
    errors = {name: answer.error for name, answer in answers.items()}
    assert (errors.pop("too many images") or "").startswith("refused: ")
    assert set(errors.values()) == {None}
    tokens = {name: answer.prompt_tokens for name, answer in answers.items()}
    assert tokens["longer"] > tokens["video"] == tokens["backwards"] > tokens["half"] > tokens["no frame"]
    assert tokens["images"] > tokens["video"], "two frames of a video share their tokens, and images have labels"
    assert answers["video"].text != answers["backwards"].text


@pytest.mark.engine
def test_the_judge_of_pixels_scores_a_claim_by_the_log_probabilities_of_a_real_engine(
    vlm_engine: VllmEngine, judge: VllmEngine, stored: ImageRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "LEAST_MASS", 0.0)  # of a random model no word is likely
    values = {"judges": ["vision"], "vision": {"engine": "judge", "threshold": 0.0, "max_frames": 4}}
    engines = {"judge": LocalService(judge), "llm": LocalService(vlm_engine)}
    cascade = build_cascade(GroundSettings.model_validate(values), JudgeResources(engines, "llm"))
    pictures = ClipPictures(10.0, root=StoredRoot(stored, 10.0, 17.875))
    event = Evidence("event@11.0-16.0", "E1", "event", "a wall gets brighter", pictures)
    claims = {"clip": [CitedClaim("The grey wall in the room gets brighter", (event,))]}
    counts = Counter[str]()
    (verdict,) = asyncio.run(cascade.verify(claims, counts))["clip"]
    assert counts["requests"] == 1
    assert counts["tokens_in"] > 4, "the frames are part of the prompt"
    assert verdict.judge == "vision"
    assert (verdict.verdict, verdict.reason) == ("supported", ""), "no error of the engine"
    assert verdict.score is not None
    assert 0 <= verdict.score <= 1
