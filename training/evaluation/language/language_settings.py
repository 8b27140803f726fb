"""Settings of the language evaluations: which tasks, which seeds, and each task's recipe of fine-tuning.

The recipes are those of VidLanKD's released scripts where there is one (`RECIPES` says which are ours).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field, NonNegativeInt, model_validator

from runtime.settings import Runtime, Settings
from training.engine.engine_settings import ComputeSettings
from training.evaluation.language.tasks.task_registry import TASKS, TaskName

HUB: Final = "hub"
"""Value of `data`: fetch the tasks from the hub."""
_SHORTEST: Final = 8


class Recipe(Settings):
    """How one task is fine-tuned: AdamW, the learning rate falling linearly to zero, gradients clipped at 1."""

    lr: float = Field(default=1e-4, gt=0)
    """Highest learning rate. Where seeds collapse at 1e-4, 5e-5 is known to help."""
    batch_size: int = Field(default=32, ge=1)
    """Examples in a step (of SQuAD: windows)."""
    epochs: float = Field(default=3, gt=0)
    """Passes over the training examples."""
    max_length: int = Field(default=126, ge=_SHORTEST)
    """Tokens with specials; what is longer is cut (of SQuAD: the context is read in windows)."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    stride: int | None = Field(default=None, ge=1)
    """SQuAD: tokens from the start of one window of a context to the start of the next (``doc_stride`` of the released
    scripts); where a window holds fewer, the next begins where it ends. None: windows share nothing."""
    holdout: float | None = Field(default=None, gt=0, lt=1)
    """Share of the examples to score where there is only one labelled file; None: that is refused."""


class RecipeChange(Settings):
    """What to change of a recipe; None: as it is."""

    lr: float | None = Field(default=None, gt=0)
    """Highest learning rate."""
    batch_size: int | None = Field(default=None, ge=1)
    """Examples in a step."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the training examples."""
    max_length: int | None = Field(default=None, ge=_SHORTEST)
    """Tokens with specials."""
    warmup: float | None = Field(default=None, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float | None = Field(default=None, ge=0)
    """Decoupled weight decay."""
    stride: int | None = Field(default=None, ge=1)
    """SQuAD: tokens from the start of one window to the start of the next."""
    holdout: float | None = Field(default=None, gt=0, lt=1)
    """Share of the examples to score where there is only one labelled file."""

    def given(self) -> dict[str, float]:
        """The fields that are set."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}


_SQUAD = {"batch_size": 12, "epochs": 2, "max_length": 384, "stride": 128, "warmup": 0.0}
RECIPES: Final[Mapping[TaskName, Recipe]] = {
    "sst2": Recipe(),
    "qnli": Recipe(),
    "qqp": Recipe(),
    "mnli": Recipe(),
    "diagnostics": Recipe(),
    "squad1": Recipe.model_validate({**_SQUAD, "lr": 3e-5}),
    "squad2": Recipe.model_validate({**_SQUAD, "lr": 5e-5}),
    "swag": Recipe(lr=5e-5, max_length=80, warmup=0.0),
    "piqa": Recipe(),
    "tracie": Recipe(lr=5e-5, batch_size=16, epochs=10, holdout=0.2),
}
"""VidLanKD's released scripts; PIQA's went by the GLUE runner; TRACIE's recipe is ours, no script of it was released.
The diagnostic set is scored by the model fine-tuned on MNLI."""


class LanguageSettings(Settings):
    """What to fine-tune on, how, and what counts as collapsed."""

    tasks: tuple[TaskName, ...] = Field(default=TASKS, min_length=1)
    """Which tasks; `diagnostics` fine-tunes on MNLI, once for both."""
    data: Runtime[str] = HUB
    """Folder with the tasks' files in their published formats (a subfolder a task: SST-2, QNLI, …), or `hub`."""
    folders: Runtime[dict[TaskName, str]] = Field(default_factory=dict)
    """Folders of single tasks that do not lie where `data` says."""
    seeds: tuple[NonNegativeInt, ...] = Field(default=(0, 1, 2), min_length=1)
    """One fine-tuning each: order of the examples, dropout and the new head are drawn from it."""
    every: RecipeChange = RecipeChange()
    """What to change in the recipes of all tasks (``every.lr=5e-5``)."""
    recipes: dict[TaskName, RecipeChange] = Field(default_factory=dict)
    """What to change in the recipe of one task (``recipes.qqp.lr=5e-5``); wins over `every`."""
    max_train: int | None = Field(default=None, ge=1)
    """Training examples of a task at most, always the same ones; None: all."""
    max_eval: int | None = Field(default=None, ge=1)
    """Scored examples of a task at most; None: all."""
    collapse_margin: float = Field(default=2.0, ge=0)
    """A seed is flagged as collapsed where its score is not more than this (percent) above what answering the same
    always would earn."""
    compute: ComputeSettings = ComputeSettings()
    """Device, precision and the like. `micro_batch` must divide each batch size."""

    @model_validator(mode="after")
    def _consistent(self) -> LanguageSettings:
        for name, values in (("tasks", self.tasks), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name}={','.join(map(str, values))}: each may be named once")
        if "diagnostics" in self.recipes:
            raise ValueError("recipes.diagnostics: the diagnostic set is scored by MNLI's model; set recipes.mnli")
        for task in self.tasks:
            self._check_recipe(task)
        return self

    def _check_recipe(self, task: TaskName) -> None:
        recipe, piece = self.recipe(task), self.compute.micro_batch
        if piece and recipe.batch_size % min(piece, recipe.batch_size):
            raise ValueError(
                f"compute.micro_batch={piece} does not divide batch_size={recipe.batch_size} of {task}; choose one "
                "that does"
            )
        if recipe.stride and recipe.stride + _SHORTEST > recipe.max_length:
            raise ValueError(
                f"stride={recipe.stride} of {task} is more than windows of max_length={recipe.max_length} hold; choose "
                f"one of at most {recipe.max_length - _SHORTEST}"
            )

    def recipe(self, task: TaskName) -> Recipe:
        """A task's recipe with all changes; the diagnostic set's is MNLI's."""
        trained: TaskName = "mnli" if task == "diagnostics" else task
        own = self.recipes.get(trained, RecipeChange())
        return RECIPES[trained].model_copy(update={**self.every.given(), **own.given()})
