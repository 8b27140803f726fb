"""UCF101 (Soomro et al. 2012): `classInd.txt` numbers the classes, `testlist01.txt` and `trainlist01.txt` list videos.

There are three splits of train and test; the first, `test`, is the one that zero-shot scores are given for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runtime.annotation_files import VideoFiles, find_file, read_list
from runtime.errors import UserError, nearest
from training.evaluation.benchmarks.classification.classification_set import (
    ClassificationBenchmark,
    ClassificationSet,
    LabelledVideo,
)

NAME: Final = "ucf101"

_LISTS: Final = {
    f"{part}{'' if number == 1 else number}": f"{part}list{number:02d}.txt"
    for part in ("test", "train")
    for number in (1, 2, 3)
}
SPLITS: Final = tuple(_LISTS)
_CLASSES: Final = ("classInd.txt",)
_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> ClassificationSet:
    """Read a split; `ApplyEyeMakeup` is read as the class `Apply Eye Makeup`.

    Args:
        annotations: folder with `classInd.txt` and the lists, or one of them with the others beside it.
        videos: files, by name such as `v_ApplyEyeMakeup_g01_c01`.
        split: one of `SPLITS`; `test2` is the test part of the second split.

    Raises:
        UserError: a file is missing, has another form, or lists a class that `classInd.txt` lacks.
    """
    numbered = find_file(annotations, _CLASSES, "number of each class")
    folders = [_class(line, number, numbered) for number, line in enumerate(read_list(numbered), start=1)]
    indices = {folder: index for index, folder in enumerate(folders)}
    path = find_file(annotations, (_LISTS[split],), "videos of the split")
    items = tuple(_item(line, videos, indices, path) for line in read_list(path))
    return ClassificationSet(NAME, split, tuple(_WORDS.sub(" ", folder) for folder in folders), items)


def _class(line: str, number: int, path: Path) -> str:
    """Return the class of a line such as `1 ApplyEyeMakeup`; classes are numbered from 1 without a gap."""
    first, _, name = line.partition(" ")
    if first != str(number) or not name.strip():
        raise UserError(f"{path}: line {number} must be '{number} ClassName', found {line[:60]!r}")
    return name.strip()


def _item(line: str, videos: VideoFiles, indices: Mapping[str, int], path: Path) -> LabelledVideo:
    """Return the video of a line such as `ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1`."""
    name = line.split(" ")[0]
    folder, slash, file = name.partition("/")
    if not slash or not file:
        raise UserError(f"{path}: a line must be 'Class/video.avi', found {line[:60]!r}")
    if folder not in indices:
        raise UserError(f"{path}: class {folder!r} of {file} is not in {_CLASSES[0]}{nearest(folder, indices)}")
    return LabelledVideo(file, videos.find(file), indices[folder])


BENCHMARK: Final = ClassificationBenchmark(
    NAME,
    SPLITS,
    {split: (_CLASSES, (name,)) for split, name in _LISTS.items()},
    lambda annotations, videos, split: read(annotations, VideoFiles(videos), split),
)
