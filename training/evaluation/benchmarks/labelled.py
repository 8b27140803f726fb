"""What a classification benchmark is once read: the names of its classes, and videos with the class of each.

`kinetics`, `ssv2` and `folder` read their files into a `ClassificationSet`; `training.evaluation.classification` scores
it and `training.vidla.finetune` trains on it. Also here: finding a video's file by its name, and reading annotations so
that a mistake names file, column and remedy.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runtime.errors import UserError

SUFFIXES: Final = frozenset({".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v"})
"""Endings of the files that are taken for videos."""


@dataclass(frozen=True)
class LabelledVideo:
    """One video (or a span of it) and its class."""

    id: str
    path: Path | None
    """None where no file of that name was found; counted as missing, never left out silently."""
    label: int
    """Index into the set's `classes`."""
    start: float | None = None
    """Seconds of the file where the labelled span begins; None: the whole file."""
    end: float | None = None
    """Seconds of the file where it ends."""


@dataclass(frozen=True)
class ClassificationSet:
    """One split of a benchmark."""

    name: str
    split: str
    classes: tuple[str, ...]
    """Names as they are put into a sentence; the order gives the indices."""
    items: tuple[LabelledVideo, ...]

    @property
    def missing(self) -> tuple[LabelledVideo, ...]:
        """Items whose file was not found."""
        return tuple(item for item in self.items if item.path is None)


def index_videos(folder: Path) -> dict[str, Path]:
    """Every video file under a folder by its name without ending; of equal names the first in path order counts.

    Raises:
        UserError: the folder does not exist or holds no video.
    """
    if not folder.is_dir():
        raise UserError(f"--videos {folder}: no such folder; name the one that holds the benchmark's video files")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            found.setdefault(path.stem, path)
    if not found:
        raise UserError(f"--videos {folder}: holds no video ({', '.join(sorted(SUFFIXES))}), in no sub-folder either")
    return found


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header.

    Raises:
        UserError: it can't be read, or lacks one of `columns`: names the file, the column and those it has.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
            header = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--annotations {path}: can't be read as CSV ({error})") from None
    for column in columns:
        if column not in header:
            raise UserError(f"--annotations {path}: no column {column!r}; it has {', '.join(header) or 'no header'}")
    return rows


def read_json(path: Path) -> Any:
    """The content of a JSON file; `UserError` naming the file where it can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"--annotations {path}: can't be read as JSON ({error})") from None


def annotation_file(annotations: Path, names: Iterable[str]) -> Path:
    """The file itself, or the first of `names` that exists in the folder given.

    Raises:
        UserError: neither; lists the names looked for.
    """
    if annotations.is_file():
        return annotations
    wanted = list(names)
    for name in wanted:
        if (annotations / name).is_file():
            return annotations / name
    raise UserError(f"--annotations {annotations}: found none of {', '.join(wanted)}; name the file or its folder")


def class_indices(classes: Sequence[str], where: Path) -> Mapping[str, int]:
    """Index by class name; `UserError` where a name stands twice."""
    indices: dict[str, int] = {}
    for index, name in enumerate(classes):
        if indices.setdefault(name, index) != index:
            raise UserError(f"{where}: two classes are called {name!r}; class names must differ")
    return indices
