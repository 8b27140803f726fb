"""SWAG: choose what happens next. The second sentence begins as given and ends in one of four ways."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.tasks.language_task import HubDataset, LanguageTask
from training.evaluation.language.tasks.table_rows import TableRow, make_split, read_rows
from training.evaluation.language.tasks.task_examples import Choice, Split

_ENDINGS = tuple(f"ending{n}" for n in range(4))


def read_swag(path: Path) -> Split:
    """Read the beginnings of a file, their endings and the right ones."""
    rows = read_rows(path, ("sent1", "sent2", *_ENDINGS, "label"))
    return make_split(path, rows, _choice)


def _choice(row: TableRow) -> Choice:
    begun = row.text("sent2")
    return Choice(
        key=row.key,
        first=row.text("sent1"),
        endings=tuple(f"{begun} {row.text(ending)}".strip() for ending in _ENDINGS),
        label=row.index("label", len(_ENDINGS)),
        group=row.text("sent1"),
    )


SWAG: Final = LanguageTask(
    "swag",
    "SWAG",
    "choice",
    read_swag,
    ("SWAG",),
    recipe=FineTuningRecipe(lr=5e-5, max_length=80, warmup=0.0),
    hub=HubDataset("allenai/swag", "regular"),
)
