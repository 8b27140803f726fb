"""QQP: two questions ask the same, or do not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.errors import UserError
from training.evaluation.language.tasks.language_task import GLUE, HubDataset, LanguageTask
from training.evaluation.language.tasks.table_rows import TableRow, column_of, labelled_text, make_split, read_rows
from training.evaluation.language.tasks.task_examples import Split

LABELS: Final = ("different", "duplicate")


def read_qqp(path: Path) -> Split:
    """Read the pairs of a file and their labels; the few broken rows of the official file are counted and left out.

    Raises:
        UserError: more rows are broken than in the official file.
    """
    column = column_of(path, "is_duplicate", "label")
    columns = ("question1", "question2", column)
    whole: list[TableRow] = []
    broken = 0
    for row in read_rows(path, columns, may_lack=True):
        if all(row.values.get(name) is not None for name in columns):
            whole.append(row)
        elif not whole:
            raise row.fault(f"must have the columns {', '.join(columns)} (it has {', '.join(row.values)})")
        else:
            broken += 1
    if broken > max(10, len(whole) // 100):
        raise UserError(f"{path}: {broken} of {len(whole) + broken} rows have too few columns; fetch the file again")
    notes = (f"{path.name}: {broken} broken rows left out",) if broken else ()
    return make_split(
        path, whole, lambda row: labelled_text(row, "question1", "question2", row.label(column, LABELS)), notes
    )


QQP: Final = LanguageTask(
    "qqp",
    "QQP",
    "label",
    read_qqp,
    ("QQP",),
    metric="accuracy_f1",
    labels=LABELS,
    hub=HubDataset(GLUE, "qqp"),
)
