"""SST-2: a sentence of a film review is negative or positive."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from training.evaluation.language.tasks.language_task import GLUE, HubDataset, LanguageTask
from training.evaluation.language.tasks.table_rows import labelled_text, make_split, read_rows
from training.evaluation.language.tasks.task_examples import Split

LABELS: Final = ("negative", "positive")


def read_sst2(path: Path) -> Split:
    """Read the sentences of a file and their labels."""
    rows = read_rows(path, ("sentence", "label"))
    return make_split(path, rows, lambda row: labelled_text(row, "sentence", None, row.label("label", LABELS)))


SST2: Final = LanguageTask(
    "sst2", "SST-2", "label", read_sst2, ("SST-2", "SST2"), labels=LABELS, hub=HubDataset(GLUE, "sst2")
)
