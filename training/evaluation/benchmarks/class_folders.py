"""Any set of videos sorted into folders: one sub-folder a class, its name is the class (`_` read as a space)."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError
from training.evaluation.benchmarks.annotation_files import VIDEO_SUFFIXES
from training.evaluation.benchmarks.classification_set import ClassificationSet, LabelledVideo

NAME = "folder"


def read(videos: Path, split: str = "val") -> ClassificationSet:
    """Read a folder of folders; where it has a sub-folder called like the split, that one is read.

    Raises:
        UserError: no such folder, fewer than two classes, two of one name, or a class without videos.
    """
    root = videos / split if (videos / split).is_dir() else videos
    if not root.is_dir():
        raise UserError(f"--videos {root}: there is no such folder; it must hold one sub-folder a class")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    classes = tuple(folder.name.replace("_", " ") for folder in folders)
    if len(folders) < 2:
        raise UserError(f"--videos {root}: found {len(folders)} class folders; needs two or more, one a class")
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise UserError(f"--videos {root}: two folders mean the class {twice!r}; rename one")
    items = tuple(
        LabelledVideo(str(path.relative_to(root)), path, label)
        for label, folder in enumerate(folders)
        for path in _videos(folder)
    )
    return ClassificationSet(NAME, split, classes, items)


def _videos(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not found:
        raise UserError(f"--videos {folder}: no videos in it ({' '.join(VIDEO_SUFFIXES)}); fill it or take it away")
    return found
