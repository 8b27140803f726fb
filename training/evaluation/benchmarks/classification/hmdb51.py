"""HMDB51 (Kuehne et al. 2011): for each class and split a file of videos, marked 1 (train), 2 (test) or 0 (unused)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.annotation_files import VideoFiles, read_list
from runtime.errors import UserError
from training.evaluation.benchmarks.classification.classification_set import (
    ClassificationBenchmark,
    ClassificationSet,
    LabelledVideo,
)

NAME: Final = "hmdb51"

_SPLITS: Final = {
    f"{part}{'' if number == 1 else number}": (mark, f"_test_split{number}.txt")
    for part, mark in (("test", "2"), ("train", "1"))
    for number in (1, 2, 3)
}
SPLITS: Final = tuple(_SPLITS)
_MARKS: Final = ("0", "1", "2")


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> ClassificationSet:
    """Read a split; the classes are those that have a file, in alphabetical order, and `_` is read as a space.

    Args:
        annotations: folder of the files, such as `brush_hair_test_split1.txt`, nested or not.
        videos: files, by name.
        split: one of `SPLITS`; `test2` is the test part of the second split.

    Raises:
        UserError: no such file, two of one name, or a line that is not a name and a mark.
    """
    mark, ending = _SPLITS[split]
    folder = annotations.parent if annotations.is_file() else annotations
    paths = {path.name.removesuffix(ending): path for path in sorted(folder.rglob(f"*{ending}"))}
    if len(paths) < 2:
        raise UserError(f"--annotations {annotations}: {len(paths)} files end in {ending}; there must be one a class")
    classes = sorted(paths)
    items = tuple(
        LabelledVideo(name, videos.find(name), label)
        for label, own in enumerate(classes)
        for name in _marked(paths[own], mark)
    )
    return ClassificationSet(NAME, split, tuple(own.replace("_", " ") for own in classes), items)


def _marked(path: Path, mark: str) -> list[str]:
    """Return the videos of a file that have a mark."""
    names = []
    for number, line in enumerate(read_list(path), start=1):
        name, _, found = line.rpartition(" ")
        if not name or found not in _MARKS:
            raise UserError(f"{path}: line {number} must be a file name and 0, 1 or 2, found {line[:60]!r}")
        if found == mark:
            names.append(name.strip())
    return names


BENCHMARK: Final = ClassificationBenchmark(
    NAME,
    SPLITS,
    {split: ((f"<class>{ending}",),) for split, (_, ending) in _SPLITS.items()},
    lambda annotations, videos, split: read(annotations, VideoFiles(videos), split),
)
