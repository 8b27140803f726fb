"""Rows of a published task file, each with its place: TSV without quoting, CSV, JSON lines, Parquet.

What is wrong with a row is told with file, line and column.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runtime.errors import UserError, one_line


class UnlabelledRow(UserError):
    """A row has no label: annotators did not agree, or the file is a test split."""


@dataclass(frozen=True)
class Row:
    """Named values of one line."""

    values: Mapping[str, Any]
    file: Path
    line: int
    """From 1; a Parquet file's rows are counted as lines."""

    def fault(self, what: str) -> UserError:
        """An error that names this row."""
        return UserError(self._place(what))

    def text(self, column: str) -> str:
        """The text of a column; empty texts are texts.

        Raises:
            UserError: the row has no such value, or it is no text.
        """
        value = self.values.get(column)
        if value is None:
            raise self.fault(f"no value in column {column!r} (it has {', '.join(map(repr, self.values))})")
        if not isinstance(value, str):
            raise self.fault(f"column {column!r} holds {value!r}, not a text")
        return value

    def label(self, column: str, names: Sequence[str]) -> int:
        """A label's number: by name, or as a number (in tables without types, digits).

        Args:
            column: where it stands.
            names: the classes, in the order of their numbers.

        Raises:
            UnlabelledRow: no label: empty, ``-`` (MNLI and SNLI, without consensus), or -1 (the hub).
            UserError: a label that is not known.
        """
        value = self.values.get(column)
        if value in (None, "", "-") or value != value:  # NaN
            raise UnlabelledRow(self._place(f"no label in column {column!r}; scoring needs labelled examples"))
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return value
        if value in (-1, "-1"):
            what = f"column {column!r} is -1: a test split without labels can't be scored"
            raise UnlabelledRow(self._place(what))
        known = {name: number for number, name in enumerate(names)}
        known |= {str(number): number for number in range(len(names))}
        if str(value) not in known:
            raise self.fault(f"column {column!r} holds {value!r}, not one of {', '.join(known)}")
        return known[str(value)]

    def _place(self, what: str) -> str:
        return f"{self.file}, line {self.line}: {what}"


def read_rows(path: Path, columns: Sequence[str], *, may_lack: bool = False) -> Iterator[Row]:
    """The rows of a file, by its suffix.

    Args:
        path: ``.tsv``, ``.csv``, ``.jsonl``, ``.json`` (JSON lines) or ``.parquet``.
        columns: those that must be there.
        may_lack: rows with too few fields come as they are, for the caller to count; else they are refused.

    Raises:
        UserError: not readable, of another format, or a column is missing.
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
    """The first of `names` that a file's first row has: official files and the hub's copies call one thing differently.

    Returns:
        The last of them where it has none, which `read_rows` then tells as missing.
    """
    row = next(read_rows(path, ()), None)
    return next((name for name in names if row and name in row.values), names[-1])


def _tsv(path: Path) -> Iterator[Row]:
    """QQP has stray quotes: in these files a quote is a letter."""
    return _separated(path, delimiter="\t", quoting=csv.QUOTE_NONE)


def _csv(path: Path) -> Iterator[Row]:
    return _separated(path, delimiter=",", quoting=csv.QUOTE_MINIMAL)


def _separated(path: Path, **form: Any) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, **form)
        try:
            header = next(reader, None)
            if header is None:
                raise UserError(f"{path}: empty")
            for fields in reader:
                if fields:
                    yield Row(dict(zip(header, fields, strict=False)), path, reader.line_num)
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.line_num}: {error}; not a table of short texts") from None


def _json_lines(path: Path) -> Iterator[Row]:
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
            yield Row(values, path, number)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        number = 0
        for batch in pq.ParquetFile(path).iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield Row(values, path, number)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: can't be read as Parquet ({one_line(error)})") from None


_READERS: Final[dict[str, Callable[[Path], Iterator[Row]]]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".json": _json_lines,
    ".parquet": _parquet,
}
