"""Kinetics-400, -600 and -700: a table `label,youtube_id,time_start,time_end,split`; videos are looked up by id.

A video file is named `<id>_<start:06d>_<end:06d>` (as in the common download) or `<id>`, in a folder for each class or
in one folder. The first kind is already cut to the labelled span; of a longer file of the second kind only the
labelled span is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from runtime.annotation_files import PublishedFiles, VideoFiles, find_file, read_csv
from runtime.errors import UserError
from training.evaluation.benchmarks.classification.classification_set import (
    ClassificationBenchmark,
    ClassificationSet,
    LabelledVideo,
)

SPLITS: Final = ("val", "test", "train")

_PREFIXES: Final[Mapping[str, Sequence[str]]] = {
    "kinetics400": ("kinetics400",),
    "kinetics600": ("kinetics600",),
    "kinetics700": ("kinetics700_2020", "kinetics700"),
}
"""Prefixes of the published tables of each benchmark; of Kinetics-700 the 2020 version comes first."""
_COLUMNS = ("label", "youtube_id", "time_start", "time_end")
_ALIASES = {"val": ("val", "validate", "validation"), "test": ("test",), "train": ("train",)}


def read(name: str, annotations: Path, videos: VideoFiles, split: str = "val") -> ClassificationSet:
    """Read a split; the classes are all labels of the table in alphabetical order.

    Args:
        name: `kinetics400`, `kinetics600` or `kinetics700`.
        annotations: the table, or a folder with `<split>.csv` or `<name>_<split>.csv` (`val` may be named `validate` or
            `validation`).
        videos: files, by id.
        split: one of `SPLITS`; if the table has a column `split`, other rows are left out.

    Raises:
        UserError: a file or column is missing, a time is not a number, or no row belongs to the split.
    """
    names = _files(name)[split][0]
    path = annotations if annotations.is_file() else find_file(annotations, names, "labels of the split")
    rows = read_csv(path, _COLUMNS)
    kept = [row for row in rows if row.get("split", split) in _ALIASES[split]]
    if not kept:
        splits = ", ".join(sorted({row.get("split", "") for row in rows}))
        raise UserError(f"{path}: no row of split {split!r}; its column 'split' holds {splits}")
    classes = tuple(sorted({row["label"] for row in rows}))
    indices = {label: index for index, label in enumerate(classes)}
    return ClassificationSet(name, split, classes, tuple(_item(row, videos, indices, path) for row in kept))


def _files(name: str) -> dict[str, PublishedFiles]:
    """Return the published names of each split's table."""
    return {
        split: (
            tuple(
                file for alias in aliases for file in (f"{alias}.csv", *(f"{p}_{alias}.csv" for p in _PREFIXES[name]))
            ),
        )
        for split, aliases in _ALIASES.items()
    }


def _item(row: Mapping[str, str], videos: VideoFiles, indices: Mapping[str, int], path: Path) -> LabelledVideo:
    video, label = row["youtube_id"], indices[row["label"]]
    start, end = _seconds(row, "time_start", path), _seconds(row, "time_end", path)
    trimmed = videos.find(f"{video}_{round(start):06d}_{round(end):06d}")
    if trimmed is not None:
        return LabelledVideo(video, trimmed, label)
    return LabelledVideo(video, videos.find(video), label, start, end)


def _seconds(row: Mapping[str, str], column: str, path: Path) -> float:
    try:
        return float(row[column])
    except (TypeError, ValueError):
        raise UserError(
            f"{path}: column {column!r} of {row['youtube_id']} must be seconds, found {row[column]!r}"
        ) from None


def _read(name: str, annotations: Path, videos: Path, split: str) -> ClassificationSet:
    return read(name, annotations, VideoFiles(videos), split)


BENCHMARKS: Final = tuple(
    ClassificationBenchmark(name, SPLITS, _files(name), partial(_read, name)) for name in _PREFIXES
)
"""The three benchmarks, which differ in the names of their tables alone."""
