"""Kinetics-400: a table `label,youtube_id,time_start,time_end,split`; videos are found by id.

A video is called `<id>_<start:06d>_<end:06d>` (as the common download has it) or `<id>`, in a folder a class or
flat. The first is trimmed already; of the second only the span annotated counts where the file is longer than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runtime.errors import UserError
from training.evaluation.benchmarks.annotation_files import VideoFiles, find_file, read_csv
from training.evaluation.benchmarks.classification_set import ClassificationSet, LabelledVideo

NAME = "kinetics400"
SPLITS = ("val", "test", "train")

_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read(annotations: Path, videos: VideoFiles, split: str = "val") -> ClassificationSet:
    """Read a split.

    Args:
        annotations: the table, or a folder with `<split>.csv` (`val.csv` may be called `validate.csv`) or
            `kinetics400_<split>.csv`. Classes are all labels of the table in alphabetical order.
        videos: by id.
        split: one of `SPLITS`; where the table has a column `split`, other rows are left out.

    Raises:
        UserError: a file or column is missing, a time is no number, or no row belongs to the split.
    """
    path = annotations if annotations.is_file() else find_file(annotations, _names(split), "labels of the split")
    rows = read_csv(path, _COLUMNS)
    kept = [row for row in rows if row.get("split", split) in _aliases(split)]
    if not kept:
        splits = ", ".join(sorted({row.get("split", "") for row in rows}))
        raise UserError(f"{path}: no row of split {split!r}; its column 'split' holds {splits}")
    classes = tuple(sorted({row["label"] for row in rows}))
    indices = {name: index for index, name in enumerate(classes)}
    return ClassificationSet(NAME, split, classes, tuple(_item(row, videos, indices, path) for row in kept))


def _aliases(split: str) -> tuple[str, ...]:
    return ("val", "validate", "validation") if split == "val" else (split,)


def _names(split: str) -> list[str]:
    return [name for alias in _aliases(split) for name in (f"{alias}.csv", f"{NAME}_{alias}.csv")]


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
