"""The share of a GPU's memory that vLLM takes follows from the share of the GPU that its pool reserves."""

from __future__ import annotations

import pytest

from curation.engines.endpoint.openai_endpoint import EndpointSettings
from curation.engines.vllm.vllm_settings import VllmSettings, engine_arguments
from curation.pipeline import engine_start, load_pipeline
from runtime.errors import UserError

MODEL = "path:///model"


def share_of(settings: VllmSettings) -> float:
    """Return the share that vLLM is started with on a GPU."""
    return float(engine_arguments(settings, "/model", on_cpu=False)["gpu_memory_utilization"])


@pytest.mark.parametrize(
    ("gpus", "tensor_parallel", "share"),
    [(1.0, 1, 0.9), (0.75, 1, 0.675), (0.5, 1, 0.45), (2.0, 2, 0.9), (0.0, 1, 0.9)],
)
def test_the_engine_takes_nine_tenths_of_its_pools_share(gpus: float, tensor_parallel: int, share: float) -> None:
    settings = VllmSettings(model=MODEL, tensor_parallel=tensor_parallel).on_gpus(gpus)
    assert share_of(settings) == pytest.approx(share)


def test_a_share_that_is_set_is_kept() -> None:
    assert share_of(VllmSettings(model=MODEL, gpu_memory_utilization=0.3).on_gpus(0.75)) == 0.3


def test_an_engine_outside_of_a_pool_takes_nine_tenths() -> None:
    assert share_of(VllmSettings(model=MODEL)) == 0.9


def test_the_pipeline_starts_its_engine_and_its_recognizer_on_one_gpu_together() -> None:
    settings = load_pipeline("grounded", None, [])
    start = engine_start(settings.engines["vlm"], settings.pool("vlm"))
    share = share_of(start.args[0])  # type: ignore[attr-defined]
    assert share == pytest.approx(0.9 * settings.pool("vlm").gpus)
    assert share + settings.pool("asr").gpus < 1


def test_a_share_above_that_of_the_pool_is_refused_with_both_settings() -> None:
    with pytest.raises(UserError) as refused:
        VllmSettings(model=MODEL, gpu_memory_utilization=0.9).check_gpus("vlm", 0.75)
    assert str(refused.value) == (
        "engines.vlm.gpu_memory_utilization=0.9: more than the share of a GPU that resources.vlm.gpus=0.75 reserves; "
        "set at most 0.75, or null for 0.675"
    )


@pytest.mark.parametrize(("gpus", "share"), [(1.0, 0.95), (0.75, 0.75), (0.0, 0.9), (2.0, 0.9)])
def test_a_share_within_that_of_the_pool_is_taken(gpus: float, share: float) -> None:
    VllmSettings(model=MODEL, gpu_memory_utilization=share).check_gpus("vlm", gpus)


def test_a_model_that_is_split_over_more_gpus_than_its_pool_reserves_is_refused() -> None:
    with pytest.raises(UserError, match=r"engines\.vlm\.tensor_parallel=2: .* resources\.vlm\.gpus=1 .*gpus=2$"):
        VllmSettings(model=MODEL, tensor_parallel=2).check_gpus("vlm", 1.0)


def test_an_endpoint_needs_no_gpu() -> None:
    settings = EndpointSettings(model="m", base_url="http://127.0.0.1:9/v1")
    settings.check_gpus("llm", 0.0)
    assert settings.on_gpus(0.5) is settings


def test_the_share_does_not_change_the_content_hash() -> None:
    settings = VllmSettings(model=MODEL)
    assert settings.on_gpus(0.75).content() == settings.content()
