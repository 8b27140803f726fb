"""QNLI: a sentence answers a question, or does not. Sentences of one question form a group."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from training.evaluation.language.tasks.language_task import GLUE, HubDataset, LanguageTask
from training.evaluation.language.tasks.table_rows import labelled_text, make_split, read_rows
from training.evaluation.language.tasks.task_examples import Split

LABELS: Final = ("entailment", "not_entailment")


def read_qnli(path: Path) -> Split:
    """Read the pairs of a file and their labels."""
    rows = read_rows(path, ("question", "sentence", "label"))
    return make_split(path, rows, lambda row: labelled_text(row, "question", "sentence", row.label("label", LABELS)))


QNLI: Final = LanguageTask("qnli", "QNLI", "label", read_qnli, ("QNLI",), labels=LABELS, hub=HubDataset(GLUE, "qnli"))
