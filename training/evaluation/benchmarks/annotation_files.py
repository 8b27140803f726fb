"""Files of a benchmark: its annotations, looked up by their published names, and its videos, looked up by id.

What is not as published ends in one line that names the file, what was looked for and what was found.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import UserError, nearest, one_line

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".3gp")
"""Endings taken for videos; where a video is there twice, the earlier ending wins."""


class VideoFiles:
    """The videos under a folder, nested or not, by file name without its ending."""

    def __init__(self, folder: Path) -> None:
        """Walk the folder once.

        Args:
            folder: `--videos`.

        Raises:
            UserError: there is no such folder, or not one video in it.
        """
        self._by_stem = _index(folder)
        if not self._by_stem:
            raise UserError(f"--videos {folder}: no videos in it (endings looked for: {' '.join(VIDEO_SUFFIXES)})")

    def __len__(self) -> int:
        return len(self._by_stem)

    def find(self, video: str) -> Path | None:
        """The file of a video, with or without the ending its id carries, and with or without ActivityNet's `v_`."""
        stem = without_suffix(video)
        names = (video, stem, f"v_{stem}", stem.removeprefix("v_"))
        return next((self._by_stem[name] for name in names if name in self._by_stem), None)


def without_suffix(name: str) -> str:
    """A video's id without the ending of a video file (`.mov`, or a bare dot, which DiDeMo's list has too)."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and f".{ending.lower()}" in (".", *VIDEO_SUFFIXES) else name


def find_file(annotations: Path, names: Sequence[str], what: str) -> Path:
    """The first of `names` in a folder, or below it.

    Args:
        annotations: `--annotations`: the folder, or a file: of one of these names, or beside which the others lie.
        names: published names, the preferred one first.
        what: what the file holds, for the message.

    Raises:
        UserError: none is there, or several of one name lie in different folders below it.
    """
    found = find_optional(annotations, names)
    if found is None:
        folder = _folder(annotations)
        beside = sorted(path.name for path in folder.iterdir() if path.is_file())
        listed = ", ".join(beside[:10]) + (" …" if len(beside) > 10 else "") or "no files"
        raise UserError(f"--annotations {annotations}: no {' or '.join(names)} ({what}); found: {listed}")
    return found


def find_optional(annotations: Path, names: Sequence[str]) -> Path | None:
    """As `find_file`, but None where none is there."""
    if annotations.is_file() and annotations.name in names:
        return annotations
    folder = _folder(annotations)
    for name in names:
        if (folder / name).is_file():
            return folder / name
        below = sorted(folder.rglob(name))
        if len(below) > 1:
            places = ", ".join(str(path.parent) for path in below)
            raise UserError(f"--annotations {annotations}: {name} is there {len(below)} times; name one of {places}")
        if below:
            return below[0]
    return None


def read_json(path: Path) -> Any:
    """A JSON file's value.

    Raises:
        UserError: it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: can't be read as JSON ({one_line(error)})") from None


def read_list(path: Path) -> list[str]:
    """A file's lines, without empty ones.

    Raises:
        UserError: it is no text, or empty.
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
    """Rows of a table separated by commas or semicolons, as its first line shows.

    Raises:
        UserError: no text, no rows, or a column is missing (named, with those that exist).
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if first.count(";") > first.count(",") else ",")
            found = [name.strip() for name in reader.fieldnames or ()]
            require(path, "column", columns, found)
            rows = [{(key or "").strip(): value for key, value in row.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: can't be read as a table ({error})") from None
    if not rows:
        raise UserError(f"{path}: no rows below its first line")
    for number, row in enumerate(rows, start=2):
        if blank := [name for name in columns if not (row.get(name) or "").strip()]:
            raise UserError(f"{path}: line {number}: nothing in column {blank[0]!r}; mend the row or take it out")
    return rows


def require(path: Path, kind: str, wanted: Iterable[str], found: Iterable[str]) -> None:
    """Refuse a file that lacks one of the names wanted.

    Raises:
        UserError: names the file, what is missing and what is there.
    """
    there = list(found)
    for name in wanted:
        if name not in there:
            raise UserError(f"{path}: no {kind} {name!r}{nearest(name, there) if there else ' (it is empty)'}")


def field(path: Path, row: Any, name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """One field of a JSON object.

    Raises:
        UserError: `row` is no object, lacks the field, or it holds something else.
    """
    if not isinstance(row, Mapping):
        raise UserError(f"{path}: {where} must be an object, found {type(row).__name__}")
    require(path, f"field of {where}", [name], [str(key) for key in row])
    if not isinstance(row[name], kind):
        wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise UserError(f"{path}: {name!r} of {where} must be {wanted}, found {type(row[name]).__name__}")
    return row[name]


def strings(path: Path, value: Any, where: str) -> list[str]:
    """A list of sentences; a sentence may also be a list of its words. Runs of white space become one space.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, list) or not all(isinstance(part, str | list) for part in value):
        raise UserError(f"{path}: {where} must be a list of sentences, found {str(value)[:60]!r}")
    return [" ".join((part if isinstance(part, str) else " ".join(map(str, part))).split()) for part in value]


def pick(ids: Sequence[str], captions: Mapping[str, Sequence[str]], path: Path, source: Path) -> dict[str, list[str]]:
    """The captions of the videos on a list, in its order; an id that appears twice counts once.

    Raises:
        UserError: a video of the list has none.
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
    if not folder.is_dir():
        raise UserError(f"--videos {folder}: there is no such folder")
    found: dict[str, tuple[int, Path]] = {}
    seen: set[tuple[int, int]] = set()
    for root, below, names in os.walk(folder, followlinks=True):
        place = Path(root).stat()
        if (place.st_dev, place.st_ino) in seen:  # a link to a folder above: two of them would be walked for ever
            below.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        for name in names:
            path = Path(root) / name
            if path.suffix.lower() in VIDEO_SUFFIXES:
                candidate = (VIDEO_SUFFIXES.index(path.suffix.lower()), path)
                found[path.stem] = min(found.get(path.stem, candidate), candidate)
    by_stem = {stem: path for stem, (_, path) in found.items()}
    # DiDeMo's downloads are at times named <id>.mov.mp4: also known by the bare id.
    return {without_suffix(stem): path for stem, path in by_stem.items()} | by_stem
