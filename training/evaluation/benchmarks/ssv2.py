"""Something-Something v2: `labels.json` (class → index) and `train.json` / `validation.json` with a template a video.

A template is written with brackets ("Holding [something] up") where `labels.json` has none; videos are
`<id>.webm`, or another container of that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.errors import UserError, nearest
from training.evaluation.benchmarks.labelled import (
    ClassificationSet,
    LabelledVideo,
    annotation_file,
    index_videos,
    read_json,
)

_SPLITS = {"train": "train", "val": "validation"}


def load(annotations: Path, videos: Path, split: str = "val") -> ClassificationSet:
    """Read one split.

    Args:
        annotations: folder with `labels.json` and `train.json`, `validation.json` (with or without the prefix
            `something-something-v2-`), or one of the last two with `labels.json` beside it.
        videos: folder of the video files.
        split: `train` or `val`; the test split is published without labels.

    Raises:
        UserError: a file is missing, of another form, or names a class that `labels.json` lacks.
    """
    if split not in _SPLITS:
        raise UserError(f"--split {split}: ssv2 has labels for train and val only; choose one of them")
    folder = annotations.parent if annotations.is_file() else annotations
    labels_path = annotation_file(folder, _names("labels"))
    classes = _classes(read_json(labels_path), labels_path)
    path = annotation_file(annotations, _names(_SPLITS[split]))
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"--annotations {path}: must be a list of videos, each with 'id' and 'template'")
    indices = {name: index for index, name in enumerate(classes)}
    found = index_videos(videos)
    items = tuple(_item(entry, found, indices, path) for entry in entries)
    return ClassificationSet("ssv2", split, classes, items)


def _names(stem: str) -> tuple[str, str]:
    return f"{stem}.json", f"something-something-v2-{stem}.json"


def _classes(labels: Any, path: Path) -> tuple[str, ...]:
    """Class names in the order of their indices, which must run from 0 without gaps."""
    if not isinstance(labels, dict) or not labels:
        raise UserError(f"--annotations {path}: must map each class to its index")
    try:
        by_index = {int(index): str(name) for name, index in labels.items()}
    except (TypeError, ValueError):
        raise UserError(
            f"--annotations {path}: an index is no whole number; must map each class to its index"
        ) from None
    if sorted(by_index) != list(range(len(labels))):
        raise UserError(f"--annotations {path}: indices must be 0 to {len(labels) - 1}, each once")
    return tuple(by_index[index] for index in range(len(labels)))


def _item(entry: Any, found: Mapping[str, Path], indices: Mapping[str, int], path: Path) -> LabelledVideo:
    if not isinstance(entry, dict) or "id" not in entry or "template" not in entry:
        has = ", ".join(entry) if isinstance(entry, dict) else type(entry).__name__
        raise UserError(
            f"--annotations {path}: a video lacks 'id' or 'template' (it has {has}); the test split has none"
        )
    video, name = str(entry["id"]), str(entry["template"]).replace("[", "").replace("]", "")
    if name not in indices:
        raise UserError(f"--annotations {path}: video {video}: labels.json has no {name!r}{_near(name, indices)}")
    return LabelledVideo(video, found.get(video), indices[name])


def _near(name: str, indices: Mapping[str, int]) -> str:
    """The nearest name alone: a list of all 174 would fill the screen."""
    text = nearest(name, indices)
    return text if text.startswith(" (did you mean") else "; use the labels.json of the same release"
