"""The record of a language task: files, reader, metric and recipe.

Each task is a module with such a record and a line of `task_registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.tasks.task_examples import Split

Reader = Callable[[Path], Split]
"""Function from one labelled file to its examples; raises `UserError`."""

Kind = Literal["label", "choice", "span"]
"""`label`: a class of one text or two; `choice`: one of several endings; `span`: words of a context."""

Metric = Literal["accuracy", "accuracy_f1", "correlation", "answers", "answers_or_none"]
"""`accuracy_f1`: also F1 of the second class; `correlation`: Matthews' correlation and accuracy, also by category;
`answers`: exact match and F1 of SQuAD; `answers_or_none`: the same, and the model may leave a question unanswered."""

GLUE: Final = "nyu-mll/glue"
"""The hub's repository of the GLUE tasks."""


@dataclass(frozen=True)
class HubDataset:
    """A task's data set on the hub, kept as Parquet."""

    repository: str
    config: str
    revision: str | None = None
    """None: the default branch. ``refs/convert/parquet`` is the hub's own conversion of a set kept in another form."""


@dataclass(frozen=True)
class LanguageTask:
    """One language task."""

    name: str
    """Name for `--tasks`."""
    title: str
    kind: Kind
    read: Reader
    folders: tuple[str, ...]
    """Names of its folder below the data folder; upper and lower case are not distinguished."""
    metric: Metric = "accuracy"
    main: str = "accuracy"
    """The score that represents the task in tables, and by which a collapse is detected."""
    recipe: FineTuningRecipe = field(default_factory=FineTuningRecipe)
    """Default settings: those of VidLanKD's released scripts unless the task's module says otherwise."""
    trained_on: str | None = None
    """Name of the task on which the model is fine-tuned; None: this task itself."""
    labels: tuple[str, ...] = ()
    """Classes, for kind `label`."""
    train: tuple[str, ...] = ("train", "train*")
    """Patterns of the training file's name, the preferred one first; empty: the task is only scored."""
    scored: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"dev": ("dev", "val", "valid", "validation", "dev*", "val*")}
    )
    """Patterns of the file's name for each split that is scored; the first split is required."""
    suffixes: tuple[str, ...] = (".tsv", ".jsonl", ".json", ".csv", ".parquet")
    """File formats, the preferred one first."""
    hub: HubDataset | None = None
    """None: the hub has no labelled copy."""
