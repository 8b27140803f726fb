"""Any set of videos sorted into folders: one sub-folder a class, its name is the class (`_` read as a space)."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError
from training.evaluation.benchmarks.labelled import SUFFIXES, ClassificationSet, LabelledVideo, class_indices


def load(videos: Path, split: str = "val") -> ClassificationSet:
    """Read a folder of folders; where it has a sub-folder called like the split, that one is read.

    Raises:
        UserError: no such folder, fewer than two classes, or a class without videos.
    """
    root = videos / split if (videos / split).is_dir() else videos
    if not root.is_dir():
        raise UserError(f"--videos {root}: no such folder; it must hold one sub-folder a class")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        raise UserError(f"--videos {root}: found {len(folders)} class folders; needs two or more, one a class")
    classes = tuple(folder.name.replace("_", " ") for folder in folders)
    class_indices(classes, root)
    items = tuple(
        LabelledVideo(f"{folder.name}/{path.name}", path, label)
        for label, folder in enumerate(folders)
        for path in _videos(folder)
    )
    return ClassificationSet("folder", split, classes, items)


def _videos(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"--videos {folder}: holds no video ({', '.join(sorted(SUFFIXES))}); fill it or take it away")
    return found
