"""The classification benchmarks by name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.errors import UserError, nearest
from training.evaluation.benchmarks import class_folders, kinetics, ssv2
from training.evaluation.benchmarks.annotation_files import VideoFiles
from training.evaluation.benchmarks.classification_set import ClassificationSet

_READERS: Final = {kinetics.NAME: kinetics.read, ssv2.NAME: ssv2.read}


def read_labelled(name: str, annotations: Path | None, videos: Path, split: str) -> ClassificationSet:
    """Read one split of a benchmark.

    Args:
        name: `kinetics400`, `ssv2` or `folder`.
        annotations: folder or file of the published annotations; `folder` has none.
        videos: folder of the video files.
        split: `train`, `val` or `test`.

    Raises:
        UserError: no such benchmark, or its files are not as published; names file, column and remedy.
    """
    if name == class_folders.NAME:
        return class_folders.read(videos, split)
    if name not in _READERS:
        raise UserError(f"--benchmark {name}: no such classes{nearest(name, [*_READERS, class_folders.NAME])}")
    if annotations is None:
        raise UserError(f"--annotations: must be given for {name}; name the folder of its published files")
    return _READERS[name](annotations, VideoFiles(videos), split)
