"""Something-Something v2: `labels.json` has the index of each class, `train.json` and `validation.json` the templates.

Templates have brackets ("Holding [something] up") that `labels.json` leaves out. Videos are named `<id>.webm`, or
have another video ending.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runtime.annotation_files import VideoFiles, field, find_file, read_json
from runtime.errors import UserError, nearest
from training.evaluation.benchmarks.classification.classification_set import (
    ClassificationBenchmark,
    ClassificationSet,
    LabelledVideo,
)

NAME: Final = "ssv2"
SPLITS: Final = ("val", "train")


def _names(stem: str) -> tuple[str, str]:
    return f"{stem}.json", f"something-something-v2-{stem}.json"


_FILES = {
    "val": (_names("labels"), _names("validation")),
    "train": (_names("labels"), _names("train")),
}


def read(annotations: Path, videos: VideoFiles, split: str = "val") -> ClassificationSet:
    """Read a split.

    Args:
        annotations: folder with `labels.json` and `train.json`, `validation.json` (with or without the prefix
            `something-something-v2-`), or one of these files with the others beside it.
        videos: files, by id.
        split: one of `SPLITS`; the test split is published without labels.

    Raises:
        UserError: a file is missing, has another form, or names a class that `labels.json` lacks.
    """
    if split not in _FILES:
        raise UserError(f"--split {split}: {NAME} has labels for {' and '.join(SPLITS)} only; choose one of them")
    label_names, video_names = _FILES[split]
    labels = find_file(annotations, label_names, "index of each class")
    classes = _classes(read_json(labels), labels)
    path = find_file(annotations, video_names, "class of each video")
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path}: must be a list of videos, each with 'id' and 'template'")
    indices = {name: index for index, name in enumerate(classes)}
    items = tuple(_item(entry, number, videos, indices, path) for number, entry in enumerate(entries))
    return ClassificationSet(NAME, split, classes, items)


def _classes(labels: Any, path: Path) -> tuple[str, ...]:
    """Return class names in the order of their indices, which must run from 0 without gaps."""
    try:
        by_index = {int(index): str(name) for name, index in labels.items()}
    except (AttributeError, TypeError, ValueError):
        raise UserError(f"{path}: must be an object of whole numbers by class") from None
    if not by_index or sorted(by_index) != list(range(len(labels))):
        raise UserError(f"{path}: indices must be 0 to {max(len(labels) - 1, 0)}, each once")
    return tuple(by_index[index] for index in range(len(labels)))


def _item(entry: Any, number: int, videos: VideoFiles, indices: Mapping[str, int], path: Path) -> LabelledVideo:
    video = str(field(path, entry, "id", (str, int), f"entry {number}"))
    template = field(path, entry, "template", str, f"entry {number} (the test split has none)")
    name = template.replace("[", "").replace("]", "")
    if name not in indices:
        raise UserError(f"{path}: video {video}: labels.json has no {name!r}{_near(name, indices)}")
    return LabelledVideo(video, videos.find(video), indices[name])


def _near(name: str, indices: Mapping[str, int]) -> str:
    """Return a hint with the nearest class only: a list of all 174 would fill the screen."""
    text = nearest(name, indices)
    return text if text.startswith(" (did you mean") else "; use the labels.json of the same release"


BENCHMARK: Final = ClassificationBenchmark(
    NAME, SPLITS, _FILES, lambda annotations, videos, split: read(annotations, VideoFiles(videos), split)
)
