"""The family of a model, by its name."""

from __future__ import annotations

import pytest

from runtime.models.model_family import model_family


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Qwen/Qwen3.5-9B", "Qwen3-VL-8B-Instruct-FP8"),
        ("gemma-4-12b-it", "google/gemma-3n-E4B"),
        ("allenai/Molmo2-8B", "Olmo-3-7B"),
        ("Mistral-Small-3.2-24B", "pixtral-12b"),
        ("meta-llama/Llama-4-Scout", "Meta-Llama-3-8B"),
        ("QVQ-72B", "Qwen2.5-VL-7B"),
        ("my-own-model", "my-other-model"),
    ],
)
def test_sizes_versions_and_quantised_forms_are_one_family(one: str, other: str) -> None:
    assert model_family(one) == model_family(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Qwen/Qwen3.5-9B", "allenai/Molmo2-8B"),
        ("Qwen3.5-9B", "gemma-4-12b-it"),
        ("DeepSeek-R1-Distill-Qwen-7B", "Qwen3-8B"),
        ("Qwen/gemma-tuned", "Qwen3-8B"),
        ("llava-1.5-7b-hf", "Llama-2-13b-chat-hf"),
    ],
)
def test_other_makers_are_other_families(one: str, other: str) -> None:
    assert model_family(one) != model_family(other)
