"""Published files of the tasks that choose between labels or endings, as examples: GLUE, TRACIE, SWAG, PIQA.

Each reader takes one file, as officially distributed or as the hub has it, whose columns have other names.
SQuAD's files are read by `squad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

from runtime.errors import UserError
from training.evaluation.language.tasks.table_rows import Row, UnlabelledRow, column_of, read_rows
from training.evaluation.language.tasks.task_examples import Choice, Example, Labelled, Split

Reader = Callable[[Path], Split]
"""One labelled file to its examples; raises `UserError`."""

SST2_LABELS: Final = ("negative", "positive")
QNLI_LABELS: Final = ("entailment", "not_entailment")
QQP_LABELS: Final = ("different", "duplicate")
NLI_LABELS: Final = ("entailment", "neutral", "contradiction")
TRACIE_LABELS: Final = ("entailment", "contradiction")
_FEW: Final = 10
T = TypeVar("T")
CATEGORIES: Final = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge")
"""Columns of GLUE's diagnostic set; each holds finer categories, divided by semicolons."""


def read_sst2(path: Path) -> Split:
    """SST-2: a sentence of a film review, negative or positive."""
    rows = read_rows(path, ("sentence", "label"))
    return _split(path, rows, lambda row: _labelled(row, "sentence", None, row.label("label", SST2_LABELS)))


def read_qnli(path: Path) -> Split:
    """QNLI: whether a sentence answers a question. Sentences of one question stay together."""
    rows = read_rows(path, ("question", "sentence", "label"))
    return _split(path, rows, lambda row: _labelled(row, "question", "sentence", row.label("label", QNLI_LABELS)))


def read_qqp(path: Path) -> Split:
    """QQP: whether two questions ask the same. The official file has a few broken rows, which are counted and left."""
    column = column_of(path, "is_duplicate", "label")
    columns = ("question1", "question2", column)
    whole: list[Row] = []
    broken = 0
    for row in read_rows(path, columns, may_lack=True):
        if all(row.values.get(name) is not None for name in columns):
            whole.append(row)
        elif not whole:
            raise row.fault(f"columns {', '.join(columns)} are not all there (it has {', '.join(row.values)})")
        else:
            broken += 1
    if broken > max(10, len(whole) // 100):
        raise UserError(f"{path}: {broken} of {len(whole) + broken} rows have too few columns; fetch the file again")
    notes = (f"{path.name}: {broken} broken rows left out",) if broken else ()
    return _split(
        path, whole, lambda row: _labelled(row, "question1", "question2", row.label(column, QQP_LABELS)), notes
    )


def read_mnli(path: Path) -> Split:
    """MNLI: premise and hypothesis. Rows on which the annotators did not agree are counted and left."""
    first = column_of(path, "premise", "sentence1")
    second, label = ("hypothesis", "label") if first == "premise" else ("sentence2", "gold_label")
    rows = read_rows(path, (first, second, label))
    return _split(path, rows, lambda row: _labelled(row, first, second, row.label(label, NLI_LABELS)))


def read_diagnostics(path: Path) -> Split:
    """GLUE's diagnostic set with its labels and categories (``diagnostic-full.tsv``)."""
    rows = read_rows(path, (*CATEGORIES, "Premise", "Hypothesis", "Label"))
    return _split(
        path,
        rows,
        lambda row: _labelled(row, "Premise", "Hypothesis", row.label("Label", NLI_LABELS), _categories(row)),
    )


def read_tracie(path: Path) -> Split:
    """TRACIE: whether a story entails that one event starts or ends before another. Stories stay together."""
    rows = read_rows(path, ("query", "story", "label"))
    return _split(
        path,
        rows,
        lambda row: _labelled(row, "query", "story", row.label("label", TRACIE_LABELS), group="story"),
    )


def read_swag(path: Path) -> Split:
    """SWAG: what happens next. The second sentence begins as given and ends in one of four ways."""
    endings = tuple(f"ending{n}" for n in range(4))
    rows = read_rows(path, ("sent1", "sent2", *endings, "label"))
    return _split(path, rows, lambda row: _swag(row, endings))


def read_piqa(path: Path) -> Split:
    """PIQA: which of two solutions reaches a goal. Labels of ``x.jsonl`` lie beside it in ``x-labels.lst``."""
    if column_of(path, "label", "goal") == "label":
        rows = read_rows(path, ("goal", "sol1", "sol2", "label"))
        return _split(path, rows, lambda row: _piqa(row, row))
    labels = path.with_name(f"{path.stem}-labels.lst")
    if not labels.is_file():
        raise UserError(f"{path}: its labels {labels.name} must lie beside it")
    marks = _marks(labels)
    rows_read = list(read_rows(path, ("goal", "sol1", "sol2")))
    if len(marks) != len(rows_read):
        raise UserError(f"{labels}: {len(marks)} labels for {len(rows_read)} goals of {path.name}")
    marked = (Row({"label": mark}, labels, number) for number, mark in enumerate(marks, start=1))
    return _split(path, zip(rows_read, marked, strict=True), lambda pair: _piqa(*pair))


def is_unlabelled(path: Path) -> bool:
    """Whether a file's first row has no label, as in published test splits."""
    row = next(read_rows(path, ()), None)
    return row is None or row.values.get("label") in (None, "", -1)


def _split(path: Path, rows: Iterable[T], example: Callable[[T], Example], notes: tuple[str, ...] = ()) -> Split:
    """Make an example of each row. Rows without a label are left and noted, unless they are more than a few.

    Raises:
        UserError: a row is not of the form, no row has a label, or too many have none.
    """
    found: list[Example] = []
    unlabelled: list[UnlabelledRow] = []
    for row in rows:
        try:
            found.append(example(row))
        except UnlabelledRow as error:
            unlabelled.append(error)
    if unlabelled and (not found or len(unlabelled) > max(_FEW, len(found) // 10)):
        raise unlabelled[0]
    if not found:
        raise UserError(f"{path}: holds no example")
    left = (f"{path.name}: rows without a label left out: {len(unlabelled)}",) if unlabelled else ()
    return Split(tuple(found), (path.name,), (*notes, *left))


def _labelled(
    row: Row, first: str, second: str | None, label: int, tags: tuple[str, ...] = (), group: str | None = None
) -> Labelled:
    return Labelled(
        key=f"{row.file.name}:{row.line}",
        first=row.text(first),
        second=None if second is None else row.text(second),
        label=label,
        group=row.text(group or first),
        tags=tags,
    )


def _categories(row: Row) -> tuple[str, ...]:
    """A row's categories: the coarse ones, and the finer ones as ``coarse: fine``."""
    found: list[str] = []
    for coarse in CATEGORIES:
        fine = [part.strip() for part in row.text(coarse).split(";") if part.strip()]
        found += [coarse] * bool(fine) + [f"{coarse}: {name}" for name in fine]
    return tuple(found)


def _swag(row: Row, endings: tuple[str, ...]) -> Choice:
    begun = row.text("sent2")
    return Choice(
        key=f"{row.file.name}:{row.line}",
        first=row.text("sent1"),
        endings=tuple(f"{begun} {row.text(ending)}".strip() for ending in endings),
        label=_place(row, len(endings)),
        group=row.text("sent1"),
    )


def _piqa(row: Row, labelled: Row) -> Choice:
    return Choice(
        key=f"{row.file.name}:{row.line}",
        first=row.text("goal"),
        endings=(row.text("sol1"), row.text("sol2")),
        label=_place(labelled, 2),
        group=row.text("goal"),
    )


def _marks(labels: Path) -> list[str]:
    try:
        return labels.read_text(encoding="utf-8").split()
    except UnicodeDecodeError as error:
        raise UserError(f"{labels}: not UTF-8 (byte {error.start}); fetch the file again") from None
    except OSError as error:
        raise UserError(f"{labels}: can't be read ({error.strerror or error})") from None


def _place(row: Row, count: int) -> int:
    places: Any = tuple(map(str, range(count)))
    return row.label("label", places)
