"""Files of a benchmark: annotations, looked up by their published names, and videos, looked up by id.

A file that is not as published is reported in one line: the file, what it should hold and what it holds.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import UserError, nearest, one_line

PublishedFiles = tuple[tuple[str, ...], ...]
"""Annotation files of a split: for each file the names under which it is published, the preferred one first."""

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".3gp")
"""Endings of video files; if a video exists with several, the earlier ending is used."""


class VideoFiles:
    """Index of the videos under a folder, nested or not, by file name without ending."""

    def __init__(self, folder: Path) -> None:
        """Walk the folder once.

        Args:
            folder: value of `--videos`.

        Raises:
            UserError: there is no such folder, or it holds no video.
        """
        self._by_stem = _index(folder)
        if not self._by_stem:
            raise UserError(f"--videos {folder}: no videos in it (endings looked for: {' '.join(VIDEO_SUFFIXES)})")

    def __len__(self) -> int:
        return len(self._by_stem)

    def find(self, video: str) -> Path | None:
        """Return the file of a video, or None; its id may carry an ending, and ActivityNet's prefix `v_`."""
        stem = without_suffix(video)
        names = (video, stem, f"v_{stem}", stem.removeprefix("v_"))
        return next((self._by_stem[name] for name in names if name in self._by_stem), None)


def without_suffix(name: str) -> str:
    """Return a video's id without a video ending (`.mov`, or a bare dot, which DiDeMo's list has too)."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and f".{ending.lower()}" in (".", *VIDEO_SUFFIXES) else name


def find_file(annotations: Path, names: Sequence[str], what: str) -> Path:
    """Return the first of `names` that exists in a folder or below it.

    Args:
        annotations: value of `--annotations`: the folder, or one of the files, in whose folder the others are.
        names: published names, the preferred one first.
        what: contents of the file, for the message.

    Raises:
        UserError: none exists, or several of one name exist in different folders below it.
    """
    path = find_optional(annotations, names)
    if path is None:
        folder = _folder(annotations)
        beside = sorted(path.name for path in folder.iterdir() if path.is_file())
        listed = ", ".join(beside[:10]) + (" …" if len(beside) > 10 else "") or "no files"
        raise UserError(f"--annotations {annotations}: no {' or '.join(names)} ({what}); found: {listed}")
    return path


def find_optional(annotations: Path, names: Sequence[str]) -> Path | None:
    """Do the same as `find_file`, but return None if no file exists."""
    if annotations.is_file() and annotations.name in names:
        return annotations
    folder = _folder(annotations)
    for name in names:
        if (folder / name).is_file():
            return folder / name
        below = sorted(folder.rglob(name))
        if len(below) > 1:
            folders = ", ".join(str(path.parent) for path in below)
            raise UserError(f"--annotations {annotations}: {name} exists {len(below)} times; name one of {folders}")
        if below:
            return below[0]
    return None


def read_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        UserError: the file is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: can't be read as JSON ({one_line(error)})") from None


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Return the object of a JSON file.

    Args:
        path: the file.
        what: contents of the object, for the message.

    Raises:
        UserError: the file is not JSON, or holds something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be an object of {what}, found {type(value).__name__}")
    return value


def read_list(path: Path) -> list[str]:
    """Return the lines of a file, without empty ones.

    Raises:
        UserError: the file is not text, or empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read as a list of ids ({error})") from None
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise UserError(f"{path}: no ids in it")
    return ids


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table; its first line decides if commas or semicolons separate the columns.

    Raises:
        UserError: not text, no rows, a column is missing (the message lists those that exist), or a value is empty.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if first.count(";") > first.count(",") else ",")
            header = [name.strip() for name in reader.fieldnames or ()]
            require(path, "column", columns, header)
            rows = [{(key or "").strip(): value for key, value in row.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: can't be read as a table ({error})") from None
    if not rows:
        raise UserError(f"{path}: no rows below its first line")
    for number, row in enumerate(rows, start=2):
        if blank := [name for name in columns if not (row.get(name) or "").strip()]:
            raise UserError(f"{path}: line {number}: column {blank[0]!r} is empty; correct or remove the row")
    return rows


def require(path: Path, kind: str, wanted: Iterable[str], names: Iterable[str]) -> None:
    """Refuse a file whose `names` lack one of those wanted.

    Raises:
        UserError: a name is missing; the message has the file, the missing name and the nearest or all existing ones.
    """
    existing = list(names)
    for name in wanted:
        if name not in existing:
            raise UserError(f"{path}: no {kind} {name!r}{nearest(name, existing) if existing else ' (it is empty)'}")


def field(path: Path, row: Any, name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """Return one field of a JSON object.

    Args:
        path: the file, for the message.
        row: the object.
        name: key of the field.
        kind: type, or types, that the value may have.
        where: position of `row` in the file, for the message.

    Raises:
        UserError: `row` is not an object, lacks the field, or the value has another type.
    """
    if not isinstance(row, Mapping):
        raise UserError(f"{path}: {where} must be an object, found {type(row).__name__}")
    require(path, f"field of {where}", [name], [str(key) for key in row])
    if not isinstance(row[name], kind):
        wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise UserError(f"{path}: {name!r} of {where} must be {wanted}, found {type(row[name]).__name__}")
    return row[name]


def strings(path: Path, value: Any, where: str) -> list[str]:
    """Return a list of sentences, each given as a string or as a list of words; white space becomes single spaces.

    Raises:
        UserError: `value` has another form.
    """
    if not isinstance(value, list) or not all(isinstance(part, str | list) for part in value):
        raise UserError(f"{path}: {where} must be a list of sentences, found {str(value)[:60]!r}")
    return [" ".join((part if isinstance(part, str) else " ".join(map(str, part))).split()) for part in value]


def pick(ids: Sequence[str], captions: Mapping[str, Sequence[str]], path: Path, source: Path) -> dict[str, list[str]]:
    """Return the captions of the videos on a list, in its order; an id that appears twice counts once.

    Args:
        ids: the list.
        captions: captions by id.
        path: file of the list, for the message.
        source: file of the captions, for the message.

    Raises:
        UserError: a video on the list has no captions.
    """
    without = [video for video in ids if not captions.get(video)]
    if without:
        raise UserError(
            f"{source}: no captions for {len(without)} of {len(ids)} videos of {path}, such as {without[0]}"
        )
    return {video: list(captions[video]) for video in ids}


def _folder(annotations: Path) -> Path:
    if not annotations.exists():
        raise UserError(f"--annotations {annotations}: there is no such file or folder")
    return annotations.parent if annotations.is_file() else annotations


def _index(folder: Path) -> dict[str, Path]:
    """Return the videos below a folder by file name without ending; links to folders are followed."""
    if not folder.is_dir():
        raise UserError(f"--videos {folder}: there is no such folder")
    best: dict[str, tuple[int, Path]] = {}
    seen: set[tuple[int, int]] = set()
    for root, below, names in os.walk(folder, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above: following it would never end
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in names:
            path = Path(root) / name
            if path.suffix.lower() in VIDEO_SUFFIXES:
                candidate = (VIDEO_SUFFIXES.index(path.suffix.lower()), path)
                best[path.stem] = min(best.get(path.stem, candidate), candidate)
    by_stem = {stem: path for stem, (_, path) in best.items()}
    # DiDeMo's downloads are sometimes named <id>.mov.mp4: register them under the bare id too.
    return {without_suffix(stem): path for stem, path in by_stem.items()} | by_stem
