"""Kinetics-400: a table `label,youtube_id,time_start,time_end,split`; videos are looked up by id.

A video file is named `<id>_<start:06d>_<end:06d>` (as in the common download) or `<id>`, in a folder for each class or
in one folder. The first kind is already cut to the labelled span; of a longer file of the second kind only the
labelled span is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runtime.annotation_files import VideoFiles, find_file, read_csv
from runtime.errors import UserError
from training.evaluation.benchmarks.classification_set import (
    ClassificationBenchmark,
    ClassificationSet,
    LabelledVideo,
)

NAME: Final = "kinetics400"
SPLITS: Final = ("val", "test", "train")

_COLUMNS = ("label", "youtube_id", "time_start", "time_end")
_ALIASES = {"val": ("val", "validate", "validation"), "test": ("test",), "train": ("train",)}
_FILES = {
    split: (tuple(name for alias in aliases for name in (f"{alias}.csv", f"{NAME}_{alias}.csv")),)
    for split, aliases in _ALIASES.items()
}


def read(annotations: Path, videos: VideoFiles, split: str = "val") -> ClassificationSet:
    """Read a split; the classes are all labels of the table in alphabetical order.

    Args:
        annotations: the table, or a folder with `<split>.csv` or `kinetics400_<split>.csv` (`val` may be named
            `validate` or `validation`).
        videos: files, by id.
        split: one of `SPLITS`; if the table has a column `split`, other rows are left out.

    Raises:
        UserError: a file or column is missing, a time is not a number, or no row belongs to the split.
    """
    path = annotations if annotations.is_file() else find_file(annotations, _FILES[split][0], "labels of the split")
    rows = read_csv(path, _COLUMNS)
    kept = [row for row in rows if row.get("split", split) in _ALIASES[split]]
    if not kept:
        splits = ", ".join(sorted({row.get("split", "") for row in rows}))
        raise UserError(f"{path}: no row of split {split!r}; its column 'split' holds {splits}")
    classes = tuple(sorted({row["label"] for row in rows}))
    indices = {name: index for index, name in enumerate(classes)}
    return ClassificationSet(NAME, split, classes, tuple(_item(row, videos, indices, path) for row in kept))


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


BENCHMARK: Final = ClassificationBenchmark(
    NAME, SPLITS, _FILES, lambda annotations, videos, split: read(annotations, VideoFiles(videos), split)
)
