"""Rows of a published task file with their line numbers, and the examples made of them: TSV, CSV, JSON lines, Parquet.

A mistake in a row is reported with file, line and column.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from runtime.errors import UserError, one_line
from training.evaluation.language.tasks.task_examples import Example, Labelled, Split

T = TypeVar("T")

_FEW_UNLABELLED: Final = 10
"""Rows without a label that a file of any length may have; longer files may have a tenth of their rows."""


class UnlabelledRow(UserError):
    """A row has no label: its annotators did not agree, or the file is a test split."""


@dataclass(frozen=True)
class TableRow:
    """Values of one line by column."""

    values: Mapping[str, Any]
    file: Path
    line: int
    """From 1; of a Parquet file, the number of the row."""

    @property
    def key(self) -> str:
        """File and line."""
        return f"{self.file.name}:{self.line}"

    def fault(self, what: str) -> UserError:
        """Return an error that names this row."""
        return UserError(self._describe(what))

    def text(self, column: str) -> str:
        """Return the text of a column, which may be empty.

        Raises:
            UserError: the row has no such value, or it is not text.
        """
        value = self.values.get(column)
        if value is None:
            raise self.fault(f"no value in column {column!r} (it has {', '.join(map(repr, self.values))})")
        if not isinstance(value, str):
            raise self.fault(f"column {column!r} holds {value!r}, not a text")
        return value

    def label(self, column: str, names: Sequence[str]) -> int:
        """Return the index of a label, given by name or as a number (in tables without types: digits).

        Args:
            column: column of the label.
            names: classes in the order of their indices.

        Raises:
            UnlabelledRow: no label: empty, ``-`` (MNLI and SNLI, without consensus), or -1 (the hub).
            UserError: an unknown label.
        """
        value = self.values.get(column)
        if value in (None, "", "-") or value != value:  # NaN
            raise UnlabelledRow(self._describe(f"no label in column {column!r}; scoring needs labelled examples"))
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return value
        if value in (-1, "-1"):
            what = f"column {column!r} is -1: a test split without labels can't be scored"
            raise UnlabelledRow(self._describe(what))
        known = {name: number for number, name in enumerate(names)}
        known |= {str(number): number for number in range(len(names))}
        if str(value) not in known:
            raise self.fault(f"column {column!r} holds {value!r}, not one of {', '.join(known)}")
        return known[str(value)]

    def index(self, column: str, count: int) -> int:
        """Return an index from 0 to `count` - 1.

        Raises:
            UserError: no index, or one out of range.
        """
        return self.label(column, [str(number) for number in range(count)])

    def _describe(self, what: str) -> str:
        return f"{self.file}, line {self.line}: {what}"


def read_rows(path: Path, columns: Sequence[str], *, may_lack: bool = False) -> Iterator[TableRow]:
    """Yield the rows of a file; its suffix gives the format.

    Args:
        path: ``.tsv``, ``.csv``, ``.jsonl``, ``.json`` (JSON lines) or ``.parquet``.
        columns: required columns.
        may_lack: also yield rows with too few fields, for the caller to count; otherwise they are refused.

    Raises:
        UserError: not readable, another format, or a column is missing.
    """
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise UserError(f"{path}: {path.suffix or 'no suffix'} is not one of {', '.join(_READERS)}")
    try:
        for row in reader(path):
            missing = [column for column in columns if column not in row.values]
            if missing and not may_lack:
                raise row.fault(f"column {missing[0]!r} is missing (it has {', '.join(map(repr, row.values))})")
            yield row
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); convert it first") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None


def column_of(path: Path, *names: str) -> str:
    """Return the first of `names` that a file has as a column: official files and the hub's use different names.

    If it has none of them, return the last, which `read_rows` then reports as missing.
    """
    row = next(read_rows(path, ()), None)
    return next((name for name in names if row and name in row.values), names[-1])


def is_unlabelled(path: Path) -> bool:
    """Return True if a table's first row has no label, as in published test splits; other formats are not judged."""
    if path.suffix not in _READERS:
        return False
    row = next(read_rows(path, ()), None)
    return row is None or row.values.get("label") in (None, "", -1)


def make_split(path: Path, rows: Iterable[T], example: Callable[[T], Example], notes: tuple[str, ...] = ()) -> Split:
    """Return the examples of a file as a split; rows without a label are left out and noted if they are few.

    Args:
        path: the file.
        rows: its rows.
        example: makes an example of a row.
        notes: remarks on the file so far.

    Raises:
        UserError: a row can't be read, there is no example, or too many rows have no label.
    """
    examples: list[Example] = []
    unlabelled: list[UnlabelledRow] = []
    for row in rows:
        try:
            examples.append(example(row))
        except UnlabelledRow as error:
            unlabelled.append(error)
    if unlabelled and (not examples or len(unlabelled) > max(_FEW_UNLABELLED, len(examples) // 10)):
        raise unlabelled[0]
    if not examples:
        raise UserError(f"{path}: holds no example")
    left_out = (f"{path.name}: rows without a label left out: {len(unlabelled)}",) if unlabelled else ()
    return Split(tuple(examples), (path.name,), (*notes, *left_out))


def labelled_text(
    row: TableRow, first: str, second: str | None, label: int, tags: tuple[str, ...] = (), group: str | None = None
) -> Labelled:
    """Return a row as a labelled text or pair.

    Args:
        row: the row.
        first: column of the first text.
        second: column of the second text; None: there is one text only.
        label: index of the class.
        tags: categories of the example.
        group: column of the group; None: the first text.
    """
    return Labelled(
        key=row.key,
        first=row.text(first),
        second=None if second is None else row.text(second),
        label=label,
        group=row.text(group or first),
        tags=tags,
    )


def _tsv(path: Path) -> Iterator[TableRow]:
    """Yield the rows of a table in which quotes are plain characters: QQP has stray ones."""
    return _separated(path, delimiter="\t", quoting=csv.QUOTE_NONE)


def _csv(path: Path) -> Iterator[TableRow]:
    return _separated(path, delimiter=",", quoting=csv.QUOTE_MINIMAL)


def _separated(path: Path, **form: Any) -> Iterator[TableRow]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, **form)
        try:
            header = next(reader, None)
            if header is None:
                raise UserError(f"{path}: empty")
            for fields in reader:
                if fields:
                    yield TableRow(dict(zip(header, fields, strict=False)), path, reader.line_num)
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.line_num}: {error}; not a table of short texts") from None


def _json_lines(path: Path) -> Iterator[TableRow]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError:
                raise UserError(f"{path}, line {number}: not JSON") from None
            if not isinstance(values, dict):
                raise UserError(f"{path}, line {number}: not a JSON object")
            yield TableRow(values, path, number)


def _parquet(path: Path) -> Iterator[TableRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        number = 0
        for batch in pq.ParquetFile(path).iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield TableRow(values, path, number)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: can't be read as Parquet ({one_line(error)})") from None


_READERS: Final[dict[str, Callable[[Path], Iterator[TableRow]]]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".json": _json_lines,
    ".parquet": _parquet,
}
