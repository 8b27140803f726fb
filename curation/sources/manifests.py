"""Reads lists of sources: ``.txt`` (one source a line), ``.csv``, ``.jsonl`` and ``.parquet`` with a column ``url``.

The columns ``start`` and ``end`` (seconds, or ``hh:mm:ss``) select a span of the video. Every other column is carried
along to each clip's facts. An invalid entry ends the command with its file, line and value.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from curation.sources.parquet_lists import UnreadableParquet, read_parquet_list
from runtime.errors import UserError, nearest, one_line
from runtime.text.sound_text import sound_text

MANIFEST_SUFFIXES: Final = (".txt", ".csv", ".jsonl", ".parquet")

LARGEST_LIST: Final = 1 << 30
"""Bytes of a list: ten million URLs have less."""

_OWN_COLUMNS: Final = ("url", "start", "end")
_LONGEST: Final = 1e8
"""Seconds, about three years: a later time is a mistake."""
_SHOWN: Final = 80
"""Most characters of a value in a message."""
_DEEPEST: Final = 50
"""Levels of lists and objects in a carried column."""
_TOO_DEEP: Final = f"lists and objects are nested more than {_DEEPEST} deep; make them flatter"
_CLOCK: Final = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d*)?)")


@dataclass(frozen=True)
class ManifestEntry:
    """One line of a manifest."""

    where: str
    """File and line, for messages."""
    url: str
    """A URL, or a path (relative to the manifest), as written."""
    start: float | None = None
    """Start of the span in seconds; None: the start of the video."""
    end: float | None = None
    """End of the span in seconds; None: the end of the video."""
    carried: Mapping[str, object] = field(default_factory=dict)
    """The other columns."""


class _ManifestRow(NamedTuple):
    """One row of a manifest before it is validated."""

    where: str
    """File and line, for messages."""
    values: Mapping[str, object]


class _ListFile(NamedTuple):
    """A file, and the name by which messages call it."""

    path: Path
    name: str

    def __str__(self) -> str:
        return self.name


def read_manifest(path: Path, name: str | None = None) -> Iterator[ManifestEntry]:
    """Yield the entries of a manifest, a line at a time; its suffix (one of `MANIFEST_SUFFIXES`) decides the format.

    Args:
        path: the file.
        name: what messages call it, such as the URL that it is a copy of; None: its path.

    Raises:
        UserError: the file can't be read, has no column ``url``, or holds an invalid entry.
    """
    file = _ListFile(path, name or str(path))
    _check_size(file)
    readers = {".txt": _txt, ".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    try:
        for row in readers[path.suffix.lower()](file):
            yield _entry(row)
    except OSError as error:
        raise UserError(f"--input {file}: can't be read ({error.strerror or one_line(error)})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"--input {file}: is not UTF-8 text ({error.reason})") from None
    except csv.Error as error:
        raise UserError(f"--input {file}: is not CSV ({error})") from None


def _check_size(file: _ListFile) -> None:
    """Refuse what has no end (a pipe, a device), and what is too large to be a list."""
    if file.path.exists() and not file.path.is_file():
        raise UserError(f"--input {file}: is not a file")
    if file.path.is_file() and file.path.stat().st_size > LARGEST_LIST:
        raise UserError(f"--input {file}: the list has more than {LARGEST_LIST >> 20} MiB; split it")


def seconds(value: Any) -> float | None:
    """Return a time of a manifest in seconds: from a number, ``90.5``, ``1:30`` or ``00:01:30.5``; None if it is empty.

    Raises:
        ValueError: the value is not a time, or is negative.
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    clock = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if clock is not None:
        value = float(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    number = math.nan if isinstance(value, bool) else float(value)
    if not 0 <= number <= _LONGEST:
        raise ValueError("not a time")
    return number


def _txt(file: _ListFile) -> Iterator[_ManifestRow]:
    with file.path.open(encoding="utf-8-sig") as opened:
        lines = (line for physical in opened for line in physical.splitlines())  # also at other ends of lines
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if text and not text.startswith("#"):
                yield _ManifestRow(f"{file}, line {number}", {"url": text})


def _csv(file: _ListFile) -> Iterator[_ManifestRow]:
    with file.path.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened, restkey="")
        _check_columns(file, reader.fieldnames or ())
        try:
            for row in reader:
                where = f"{file}, line {reader.line_num}"
                if "" in row:
                    raise UserError(f"--input {where}: more values than columns ({_shown(row[''])})")
                yield _ManifestRow(where, dict(row))
        except csv.Error as error:
            raise UserError(f"--input {file}, line {reader.line_num}: is not CSV ({error})") from None


def _jsonl(file: _ListFile) -> Iterator[_ManifestRow]:
    with file.path.open(encoding="utf-8-sig", newline="\n") as opened:
        for number, line in enumerate(opened, 1):
            if line.strip():
                yield _json_row(f"{file}, line {number}", line)


def _json_row(where: str, line: str) -> _ManifestRow:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"--input {where}: is not JSON ({error})") from None
    except RecursionError:
        raise UserError(f"--input {where}: {_TOO_DEEP}") from None
    if not isinstance(row, dict):
        raise UserError(f"--input {where}: must be an object with a url, found {line.strip()[:80]!r}")
    return _ManifestRow(where, row)


def _parquet(file: _ListFile) -> Iterator[_ManifestRow]:
    try:
        for number, values in enumerate(read_parquet_list(file.path, _OWN_COLUMNS[0]), 1):
            yield _ManifestRow(f"{file}, row {number}", values)
    except UnreadableParquet as error:
        raise UserError(f"--input {file}: {error}") from None


def _check_columns(file: _ListFile, names: Collection[str]) -> None:
    if "url" not in names:
        raise UserError(f"--input {file}: has no column 'url'{nearest('url', names)}")


def _entry(line: _ManifestRow) -> ManifestEntry:
    where, row = line
    url = row.get("url")
    if not isinstance(url, str) or not url.strip():
        raise UserError(f"--input {where}: url={_shown(url)}: must be a URL or a path")
    if len(row) == 1:
        return ManifestEntry(where, sound_text(url).strip())
    start, end = _time(where, "start", row.get("start")), _time(where, "end", row.get("end"))
    if end is not None and end <= (start or 0.0):
        raise UserError(
            f"--input {where}: end={_shown(row['end'])}: must be later than start={_shown(row.get('start'))}"
        )
    try:
        carried = {sound_text(str(name)): _plain(value) for name, value in row.items() if name not in _OWN_COLUMNS}
    except RecursionError:
        raise UserError(f"--input {where}: {_TOO_DEEP}") from None
    return ManifestEntry(where, sound_text(url).strip(), start, end, carried)


def _time(where: str, name: str, value: object) -> float | None:
    try:
        return seconds(value)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"--input {where}: {name}={_shown(value)}: must be seconds or hh:mm:ss") from None


def _shown(value: object) -> str:
    """Return a value as it is quoted in a message: a huge number or text is cut."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = "an integer"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _plain(value: object, depth: int = 0) -> object:
    """Convert a value to one that JSON can hold: dates, decimals and bytes become text, NaN and infinity None.

    Halves of characters, which UTF-8 can't hold, are left out of texts.

    Raises:
        RecursionError: the value is nested more than `_DEEPEST` deep.
    """
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {sound_text(str(name)): _plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    return value if value is None or isinstance(value, int) else sound_text(str(value))
