"""Read filled-in labels: CSV as the page, a spreadsheet or a program writes it, or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from curation.grounding.audit.label_rows import NEEDED
from curation.sources.parquet_lists import UnreadableParquet, read_parquet_list
from runtime.errors import UserError, nearest, one_line

_LARGEST: Final = 64 << 20
_BOM_16: Final = (b"\xff\xfe", b"\xfe\xff")
_UNREADABLE: Final = "unreadable"


def read_label_rows(path: Path) -> Iterator[Mapping[str, Any] | str]:
    """Yield the rows of a file by column, or the reason why a row can't be read.

    Raises:
        UserError: the file can't be read, is too large, or lacks a column.
    """
    try:
        if not path.is_file():
            raise UserError(f"--labels {path}: no such file; name the labels.csv that was filled in")
        if path.stat().st_size > _LARGEST:
            raise UserError(f"--labels {path}: has more than {_LARGEST >> 20} MiB; labels of one sample have less")
        if path.suffix.lower() == ".parquet":
            yield from _parquet(path)
        else:
            yield from _csv(path.read_bytes(), f"--labels {path}")
    except OSError as error:
        raise UserError(f"--labels {path}: can't be read ({error.strerror or one_line(error)})") from None


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        for number, row in enumerate(read_parquet_list(path, NEEDED[0])):
            if number == 0:
                _check_columns(f"--labels {path}", list(row))
            yield row
    except UnreadableParquet as error:
        raise UserError(f"--labels {path}: {error}") from None


def has_labels(data: bytes) -> bool:
    """Return True for a ``labels.csv`` in which a label or a note is filled in; True if it can't be read either."""
    try:
        return any(isinstance(row, str) or row.get("label") or row.get("note") for row in _csv(data, "labels.csv"))
    except UserError:
        return True


def _csv(data: bytes, name: str) -> Iterator[Mapping[str, Any] | str]:
    text = _decoded(data)
    separator = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names = [name.strip().lower() for name in next(reader, [])]
    _check_columns(name, names)
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield _UNREADABLE
            continue
        if len(values) > len(names) and any(values[len(names) :]):
            yield "too_many_values"
        elif values:
            yield dict(zip(names, values, strict=False))


def _check_columns(where: str, names: list[str]) -> None:
    for needed in NEEDED:
        if needed not in names:
            shown = [each[:40] for each in names[:12]]
            raise UserError(f"{where}: has no column {needed!r}{nearest(needed, shown)}")


def _decoded(data: bytes) -> str:
    """Return the text of a CSV file: UTF-8 or UTF-16, or what Excel writes in Western Europe if it is neither."""
    if data.startswith(_BOM_16):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
