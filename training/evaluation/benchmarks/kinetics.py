"""Kinetics-400 (and 600, 700): a CSV file with `label,youtube_id,time_start,time_end,split`, videos found by id.

A video is called `<id>_<start:06d>_<end:06d>` (as the common download has it) or `<id>`, in a folder a class or
flat. The first is trimmed already; of the second only the span annotated counts where the file is longer than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runtime.errors import UserError
from training.evaluation.benchmarks.labelled import (
    ClassificationSet,
    LabelledVideo,
    annotation_file,
    class_indices,
    index_videos,
    read_csv,
)

_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def load(annotations: Path, videos: Path, split: str = "val", name: str = "kinetics400") -> ClassificationSet:
    """Read one split.

    Args:
        annotations: the CSV file, or a folder with `<split>.csv` (also `validate.csv`) or `<name>_<split>.csv`. Classes
            are the labels of the whole file in alphabetical order.
        videos: folder of the video files.
        split: `train`, `val` or `test`; rows of another split in the column `split`, where there is one, are left out.
        name: what reports call the set.

    Raises:
        UserError: a file or column is missing, a time is no number, or no row belongs to the split.
    """
    names = [stem for alias in _aliases(split) for stem in (f"{alias}.csv", f"{name}_{alias}.csv")]
    path = annotation_file(annotations, names)
    rows = read_csv(path, _COLUMNS)
    classes = sorted({row["label"] for row in rows})
    indices = class_indices(classes, path)
    found = index_videos(videos)
    kept = [row for row in rows if row.get("split", split) in _aliases(split)]
    if not kept:
        splits = sorted({row.get("split", "") for row in rows})
        raise UserError(f"--annotations {path}: no row of split {split!r}; column 'split' holds {', '.join(splits)}")
    items = tuple(_item(row, found, indices, path) for row in kept)
    return ClassificationSet(name, split, tuple(classes), items)


def _aliases(split: str) -> tuple[str, ...]:
    return ("val", "validate", "validation") if split == "val" else (split,)


def _item(row: Mapping[str, str], found: Mapping[str, Path], indices: Mapping[str, int], path: Path) -> LabelledVideo:
    video, label = row["youtube_id"], indices[row["label"]]
    start, end = _seconds(row, "time_start", path), _seconds(row, "time_end", path)
    trimmed = found.get(f"{video}_{round(start):06d}_{round(end):06d}")
    if trimmed is not None:
        return LabelledVideo(video, trimmed, label)
    return LabelledVideo(video, found.get(video), label, start, end)


def _seconds(row: Mapping[str, str], column: str, path: Path) -> float:
    try:
        return float(row[column])
    except ValueError:
        raise UserError(
            f"--annotations {path}: column {column!r} of {row['youtube_id']} holds {row[column]!r}; must be seconds"
        ) from None
