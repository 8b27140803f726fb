"""Finetuning recipes: the paper's numbers for each benchmark, and settings of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import UserError
from runtime.settings import build, merged
from training.evaluation.video.video_views import Sampling, Views
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.vidla_folder import save
from training.vidla.finetuning.finetuning_recipes import RECIPES, finetune_settings, patch_of, recipe_of
from training.vidla.vidla_settings import VidlaSettings

STEPS = {
    "msrvtt": (1100, 1760),
    "didemo": (1100, 660),
    "activitynet": (880, 880),
    "msvd": (440, 440),
    "vatex": (2640, 2640),
}


@pytest.mark.parametrize("benchmark", STEPS)
@pytest.mark.parametrize(("patch", "batch_size"), [(32, 128), (16, 196)])
def test_retrieval_is_finetuned_as_the_paper_states(benchmark: str, patch: int, batch_size: int) -> None:
    settings = build(VidlaSettings, finetune_settings(benchmark, patch), "")
    assert (settings.loop.steps, settings.loop.batch_size) == (STEPS[benchmark][patch == 16], batch_size)
    assert settings.model.frames == 32
    assert (settings.optim.lr, settings.optim.lr_end, settings.optim.weight_decay) == (1e-5, 1e-6, 0.2)
    assert (settings.data.augment.scales, settings.data.augment.center) == ((1.0,), True)


@pytest.mark.parametrize(
    ("benchmark", "patch", "epochs", "batch_size", "sampling", "views"),
    [
        ("kinetics400", 32, 100, 512, "dense", Views(5, 3)),
        ("kinetics400", 16, 75, 512, "dense", Views(5, 3)),
        ("ssv2", 32, 40, 1024, "uniform", Views(2, 3)),
        ("ssv2", 16, 40, 512, "uniform", Views(2, 3)),
    ],
)
def test_classification_is_finetuned_as_the_paper_states(
    benchmark: str, patch: int, epochs: int, batch_size: int, sampling: Sampling, views: Views
) -> None:
    recipe = recipe_of(benchmark, patch)
    settings = build(VidlaSettings, recipe.settings(), "")
    assert (settings.loop.epochs, settings.loop.batch_size) == (epochs, batch_size)
    assert (settings.model.frames, recipe.sampling, recipe.views) == (16, sampling, views)


def test_clips_are_not_mirrored_if_classes_depend_on_left_and_right() -> None:
    assert finetune_settings("ssv2")["data"]["augment"]["flip"] is False
    assert finetune_settings("kinetics400")["data"]["augment"]["flip"] is True


def test_settings_of_the_paper_and_ours_do_not_overlap() -> None:
    def leaves(branch: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for name, value in branch.items():
            yield from leaves(value, (*path, name)) if isinstance(value, dict) else [(*path, name)]

    for recipe in (recipe for by_patch in RECIPES.values() for recipe in by_patch.values()):
        assert not set(leaves(recipe.stated)) & set(leaves(recipe.ours))


def test_a_users_settings_win_over_the_recipe() -> None:
    settings = build(VidlaSettings, merged(finetune_settings("msvd"), {"loop": {"steps": 3}}), "")
    assert (settings.loop.steps, settings.loop.batch_size) == (3, 128)


def test_an_unknown_benchmark_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'msrvtt'"):
        finetune_settings("msrvt")


def test_the_patch_size_is_known_from_the_initial_weights(tmp_path: Path) -> None:
    save(build_model(ModelSettings(init="random:tiny")), tmp_path / "export")
    assert patch_of("openai") == 32
    assert patch_of("openai", "ViT-B-16") == 16
    assert patch_of("ViT-B-16-quickgelu:openai") == 16
    assert patch_of("random:ViT-L-14") == 14
    assert patch_of(f"path://{tmp_path / 'export'}") == 16
    assert patch_of("hf://org/name") == 32
