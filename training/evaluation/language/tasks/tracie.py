"""TRACIE: a story entails that one event starts or ends before another, or not. Queries of a story form a group."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.tasks.language_task import LanguageTask
from training.evaluation.language.tasks.table_rows import labelled_text, make_split, read_rows
from training.evaluation.language.tasks.task_examples import Split

LABELS: Final = ("entailment", "contradiction")


def read_tracie(path: Path) -> Split:
    """Read the queries and stories of a file and their labels."""
    rows = read_rows(path, ("query", "story", "label"))
    return make_split(
        path, rows, lambda row: labelled_text(row, "query", "story", row.label("label", LABELS), group="story")
    )


TRACIE: Final = LanguageTask(
    "tracie",
    "TRACIE",
    "label",
    read_tracie,
    ("TRACIE",),
    recipe=FineTuningRecipe(lr=5e-5, batch_size=16, epochs=10, holdout=0.2),
    labels=LABELS,
    train=("train_uniform*", "train*"),
    scored={"dev": ("dev*", "val*", "test*")},
    suffixes=(".jsonl",),
)
"""No script was released for TRACIE: the recipe is ours."""
