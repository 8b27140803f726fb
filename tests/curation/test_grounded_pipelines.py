"""The pipelines for GPUs: their models are served by the pinned vLLM, and their engines fit one GPU together."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from curation.pipeline import load_pipeline
from curation.stages.pipeline_settings import PipelineSettings
from curation.text.rewrite_settings import RewriteSettings
from curation.text.rewrite_stage import REWRITE
from runtime.models.model_family import model_family
from runtime.ray_runner.placement import MachineNode, place
from runtime.ray_runner.stage import ServiceSpec, StageSpec

PIPELINES = {"grounded": 80.0, "grounded-24gb": 24.0}
"""Memory of the GPU, in GB."""
WEIGHTS = {"Qwen/Qwen3.5-9B": 19.0, "google/gemma-4-12B-it": 24.0, "Qwen/Qwen3.5-4B": 6.0, "google/gemma-4-E2B-it": 8.5}
"""GB of weights as loaded, by the sizes that the makers publish."""
ARCHITECTURES = {
    "Qwen/Qwen3.5": "Qwen3_5ForConditionalGeneration",
    "google/gemma-4-12B": "Gemma4UnifiedForConditionalGeneration",
    "google/gemma-4-E2B": "Gemma4ForConditionalGeneration",
}


def layout(settings: PipelineSettings) -> tuple[bool, list[tuple[str, ...]]]:
    """Return whether all stages stream through one machine with one GPU, and the groups of stages."""
    used: dict[str, tuple[str, ...]] = {"media": ("asr",), "caption": ("vlm",), "rewrite": ("vlm", "judge")}
    build: Any = None
    stages = [StageSpec(name, build, settings.pool(name), (0,), pools) for name, pools in used.items()]
    services = [ServiceSpec(name, build, settings.pool(name)) for name in ("asr", "vlm", "judge")]
    placed = place(stages, services, [MachineNode(cpus=16, gpus=1)])
    return placed.streams, [group.stages for group in placed.groups]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_writer_and_judge_are_of_two_families_and_a_plan_has_nothing_to_warn_of(pipeline: str) -> None:
    settings = load_pipeline(pipeline, None, [])
    ground = settings.branch(RewriteSettings).ground
    assert ground.judges == ("words", "parse", "text", "vision")
    assert ground.required() == ("text", "vision")
    assert ground.engines() == {"text": "judge", "vision": "judge"}
    families = {model_family(settings.engines[name].model_name) for name in ("vlm", "judge")}
    assert len(families) == 2
    assert REWRITE.warnings(settings) == []


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_each_engine_has_room_for_its_weights_and_a_cache_in_its_share_of_the_gpu(pipeline: str) -> None:
    settings = load_pipeline(pipeline, None, [])
    for name in ("vlm", "judge"):
        engine, gpus = settings.engines[name], settings.pool(name).gpus
        engine.check_gpus(name, gpus)
        share = engine.on_gpus(gpus).gpu_memory_utilization  # type: ignore[attr-defined]
        assert share * PIPELINES[pipeline] > 1.2 * WEIGHTS[engine.model_name]
    assert settings.pool("vlm").gpus + settings.pool("judge").gpus <= 1


def test_on_80_gb_all_stages_stream_through_one_gpu() -> None:
    assert layout(load_pipeline("grounded", None, [])) == (True, [("media", "caption", "rewrite")])


def test_on_24_gb_the_stages_take_turns_on_one_gpu() -> None:
    streams, groups = layout(load_pipeline("grounded-24gb", None, []))
    assert not streams
    assert groups == [("media",), ("caption",), ("rewrite",)]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_pinned_vllm_serves_the_architecture_of_every_model(pipeline: str) -> None:
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("vLLM is not installed (extra cpu or gpu)")
    folder = Path(spec.submodule_search_locations[0])  # importing vLLM would take half a minute
    served = (folder / "model_executor/models/registry.py").read_text(encoding="utf-8")
    for name in ("vlm", "judge"):
        model = load_pipeline(pipeline, None, []).engines[name].model_name
        (architecture,) = (value for prefix, value in ARCHITECTURES.items() if model.startswith(prefix))
        assert f'"{architecture}"' in served
