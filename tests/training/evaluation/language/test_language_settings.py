"""Recipes of the language tasks, and settings that are refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from runtime.errors import UserError
from runtime.settings import build
from training.evaluation.language.language_settings import LanguageSettings


def test_recipes_are_the_released_ones_and_changes_of_one_task_win() -> None:
    changed = LanguageSettings.model_validate({"every": {"lr": 5e-5}, "recipes": {"qqp": {"lr": 2e-5}}})
    assert (changed.recipe("qqp").lr, changed.recipe("mnli").lr) == (2e-5, 5e-5)
    released = LanguageSettings()
    assert (released.recipe("sst2").lr, released.recipe("sst2").max_length, released.recipe("sst2").warmup) == (
        1e-4,
        126,
        0.1,
    )
    squad = released.recipe("squad1")
    assert (squad.lr, squad.batch_size, squad.epochs, squad.max_length, squad.stride) == (3e-5, 12, 2, 384, 128)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tasks": ["sst3"]}, "evaluate.tasks.0='sst3'"),
        ({"tasks": ["sst2", "sst2"]}, "tasks=sst2,sst2: each may be named once"),
        ({"seeds": [1, 1]}, "seeds=1,1: each may be named once"),
        (
            {"tasks": ["squad1"], "every": {"max_length": 128}},
            "stride=128 of squad1 is more than windows of max_length=128 hold",
        ),
        ({"compute": {"micro_batch": 5}}, "compute.micro_batch=5 does not divide batch_size=32 of sst2"),
        ({"recipes": {"diagnostics": {"lr": 1e-5}}}, "set recipes.mnli"),
    ],
)
def test_contradictory_settings_are_reported_in_one_line(values: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=r"^evaluate") as told:
        build(LanguageSettings, values, "evaluate")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_negative_seeds_are_refused() -> None:
    with pytest.raises(ValidationError):
        LanguageSettings.model_validate({"seeds": [-1]})
