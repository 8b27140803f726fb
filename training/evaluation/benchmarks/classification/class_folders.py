"""Any set of videos sorted into folders: each sub-folder is a class, named like it (`_` is read as a space)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.annotation_files import VIDEO_SUFFIXES
from runtime.errors import UserError
from training.evaluation.benchmarks.classification.classification_set import (
    ClassificationBenchmark,
    ClassificationSet,
    LabelledVideo,
)

NAME: Final = "folder"


def read(videos: Path, split: str = "val") -> ClassificationSet:
    """Read a folder of folders; if it has a sub-folder named like the split, read that one.

    Raises:
        UserError: no such folder, fewer than two classes, two classes of one name, or a class without videos.
    """
    root = videos / split if (videos / split).is_dir() else videos
    if not root.is_dir():
        raise UserError(f"--videos {root}: there is no such folder; it must hold one sub-folder for each class")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    classes = tuple(folder.name.replace("_", " ") for folder in folders)
    if len(folders) < 2:
        raise UserError(f"--videos {root}: has {len(folders)} class folders; at least two are needed")
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise UserError(f"--videos {root}: two folders stand for the class {twice!r}; rename one")
    items = tuple(
        LabelledVideo(str(path.relative_to(root)), path, label)
        for label, folder in enumerate(folders)
        for path in _videos(folder)
    )
    return ClassificationSet(NAME, split, classes, items)


def _videos(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise UserError(f"--videos {folder}: no videos in it ({' '.join(VIDEO_SUFFIXES)}); fill or remove it")
    return paths


BENCHMARK: Final = ClassificationBenchmark(
    NAME, ("val", "train", "test"), {}, lambda _, videos, split: read(videos, split)
)
