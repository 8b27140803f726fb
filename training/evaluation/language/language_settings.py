"""Settings of the language evaluation: tasks, data, seeds, and changes to the recipes of the tasks."""

from __future__ import annotations

from typing import Final

from pydantic import Field, NonNegativeInt, model_validator

from runtime.settings import Runtime, Settings
from training.engine.engine_settings import ComputeSettings
from training.evaluation.language.finetuning_recipe import SHORTEST, FineTuningRecipe, RecipeChange
from training.evaluation.language.tasks.task_registry import LANGUAGE_TASKS, TASK_NAMES, TaskName, training_task

HUB: Final = "hub"
"""Value of `data`: fetch the tasks from the hub."""


class LanguageSettings(Settings):
    """Tasks to fine-tune on, their recipes, and the bound of a collapse."""

    tasks: tuple[TaskName, ...] = Field(default=TASK_NAMES, min_length=1)
    """Tasks; `diagnostics` fine-tunes on MNLI, once for both."""
    data: Runtime[str] = HUB
    """Folder with the tasks' files in their published formats (a subfolder per task: SST-2, QNLI, …), or `hub`."""
    folders: Runtime[dict[TaskName, str]] = Field(default_factory=dict)
    """Folders of single tasks that are not below `data`."""
    seeds: tuple[NonNegativeInt, ...] = Field(default=(0, 1, 2), min_length=1)
    """One fine-tuning for each seed, which sets the order of the examples, dropout and the new head."""
    every: RecipeChange = RecipeChange()
    """Changes to the recipes of all tasks (``every.lr=5e-5``)."""
    recipes: dict[TaskName, RecipeChange] = Field(default_factory=dict)
    """Changes to the recipe of one task (``recipes.qqp.lr=5e-5``); they take precedence over `every`."""
    max_train: int | None = Field(default=None, ge=1)
    """Highest number of training examples of a task, always the same ones; None: all."""
    max_eval: int | None = Field(default=None, ge=1)
    """Highest number of scored examples of a task; None: all."""
    collapse_margin: float = Field(default=2.0, ge=0)
    """A seed is flagged as collapsed if its score is at most this much (percent) above the score of a constant
    answer."""
    compute: ComputeSettings = ComputeSettings()
    """Device, precision and the like. `micro_batch` must divide each batch size."""

    @model_validator(mode="after")
    def _consistent(self) -> LanguageSettings:
        for name, values in (("tasks", self.tasks), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name}={','.join(map(str, values))}: each may be named once")
        for name in self.recipes:
            trained = training_task(name)
            if trained.name != name:
                raise ValueError(
                    f"recipes.{name}: {LANGUAGE_TASKS[name].title} is scored with the model of {trained.title}; set "
                    f"recipes.{trained.name}"
                )
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
        if recipe.stride and recipe.stride + SHORTEST > recipe.max_length:
            raise ValueError(
                f"stride={recipe.stride} of {task} is more than windows of max_length={recipe.max_length} hold; choose "
                f"one of at most {recipe.max_length - SHORTEST}"
            )

    @property
    def needed_tasks(self) -> list[TaskName]:
        """The tasks whose data is read: those asked for, and those that they are trained on."""
        return list(dict.fromkeys(name for task in self.tasks for name in (task, training_task(task).name)))

    def recipe(self, task: TaskName) -> FineTuningRecipe:
        """Return the recipe with which a task's model is fine-tuned, with all changes."""
        trained = training_task(task)
        own = self.recipes.get(trained.name, RecipeChange())
        return trained.recipe.model_copy(update={**self.every.given(), **own.given()})
