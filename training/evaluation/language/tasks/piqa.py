"""PIQA: choose which of two solutions reaches a goal."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.errors import UserError
from training.evaluation.language.tasks.language_task import HubDataset, LanguageTask
from training.evaluation.language.tasks.table_rows import TableRow, column_of, make_split, read_rows
from training.evaluation.language.tasks.task_examples import Choice, Split


def read_piqa(path: Path) -> Split:
    """Read the goals of a file, both solutions and the right one.

    The official files keep the labels of ``x.jsonl`` beside it in ``x-labels.lst``.

    Raises:
        UserError: the labels are missing, or are not as many as the goals.
    """
    if column_of(path, "label", "goal") == "label":
        rows = read_rows(path, ("goal", "sol1", "sol2", "label"))
        return make_split(path, rows, lambda row: _choice(row, row))
    labels = path.with_name(f"{path.stem}-labels.lst")
    if not labels.is_file():
        raise UserError(f"{path}: its labels {labels.name} must be beside it")
    marks = _marks(labels)
    goals = list(read_rows(path, ("goal", "sol1", "sol2")))
    if len(marks) != len(goals):
        raise UserError(f"{labels}: {len(marks)} labels for {len(goals)} goals of {path.name}")
    marked = (TableRow({"label": mark}, labels, number) for number, mark in enumerate(marks, start=1))
    return make_split(path, zip(goals, marked, strict=True), lambda pair: _choice(*pair))


def _choice(row: TableRow, labelled: TableRow) -> Choice:
    return Choice(
        key=row.key,
        first=row.text("goal"),
        endings=(row.text("sol1"), row.text("sol2")),
        label=labelled.index("label", 2),
        group=row.text("goal"),
    )


def _marks(labels: Path) -> list[str]:
    try:
        return labels.read_text(encoding="utf-8").split()
    except UnicodeDecodeError as error:
        raise UserError(f"{labels}: not UTF-8 (byte {error.start}); fetch the file again") from None
    except OSError as error:
        raise UserError(f"{labels}: can't be read ({error.strerror or error})") from None


PIQA: Final = LanguageTask(
    "piqa",
    "PIQA",
    "choice",
    read_piqa,
    ("PIQA",),
    hub=HubDataset("ybisk/piqa", "plain_text", "refs/convert/parquet"),
)
"""VidLanKD fine-tuned PIQA with its GLUE script, so the recipe is that of GLUE."""
