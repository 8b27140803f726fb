"""MNLI, and GLUE's diagnostic set: a premise entails a hypothesis, contradicts it, or neither.

The diagnostic set has no training split: it is scored with the model that was fine-tuned on MNLI.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from training.evaluation.language.tasks.language_task import GLUE, HubDataset, LanguageTask
from training.evaluation.language.tasks.table_rows import TableRow, column_of, labelled_text, make_split, read_rows
from training.evaluation.language.tasks.task_examples import Split

LABELS: Final = ("entailment", "neutral", "contradiction")
CATEGORIES: Final = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge")
"""Columns of the diagnostic set; each holds finer categories, separated by semicolons."""


def read_mnli(path: Path) -> Split:
    """Read the pairs of a file and their labels; official files and the hub's name the columns differently."""
    first = column_of(path, "premise", "sentence1")
    second, label = ("hypothesis", "label") if first == "premise" else ("sentence2", "gold_label")
    rows = read_rows(path, (first, second, label))
    return make_split(path, rows, lambda row: labelled_text(row, first, second, row.label(label, LABELS)))


def read_diagnostics(path: Path) -> Split:
    """Read the diagnostic set with its labels and categories (``diagnostic-full.tsv``)."""
    rows = read_rows(path, (*CATEGORIES, "Premise", "Hypothesis", "Label"))
    return make_split(
        path,
        rows,
        lambda row: labelled_text(row, "Premise", "Hypothesis", row.label("Label", LABELS), _categories(row)),
    )


def _categories(row: TableRow) -> tuple[str, ...]:
    """Return a row's categories: the coarse ones, and the finer ones as ``coarse: fine``."""
    categories: list[str] = []
    for coarse in CATEGORIES:
        fine = [part.strip() for part in row.text(coarse).split(";") if part.strip()]
        categories += [coarse] * bool(fine) + [f"{coarse}: {name}" for name in fine]
    return tuple(categories)


MNLI: Final = LanguageTask(
    "mnli",
    "MNLI",
    "label",
    read_mnli,
    ("MNLI",),
    labels=LABELS,
    scored={
        "matched": ("dev_matched*", "validation_matched*"),
        "mismatched": ("dev_mismatched*", "validation_mismatched*"),
    },
    hub=HubDataset(GLUE, "mnli"),
)

DIAGNOSTICS: Final = LanguageTask(
    "diagnostics",
    "GLUE diagnostics",
    "label",
    read_diagnostics,
    ("diagnostics", "diagnostic", "AX", "MNLI"),
    metric="correlation",
    main="mcc",
    recipe=MNLI.recipe,
    trained_on=MNLI.name,
    labels=LABELS,
    train=(),
    scored={"diagnostic": ("diagnostic-full*",)},
    suffixes=(".tsv",),
)
