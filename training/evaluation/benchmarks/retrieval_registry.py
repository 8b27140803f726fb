"""The retrieval benchmarks by name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.errors import UserError, nearest
from training.evaluation.benchmarks import activitynet, didemo, msrvtt, msvd, vatex
from training.evaluation.benchmarks.annotation_files import VideoFiles
from training.evaluation.benchmarks.retrieval_set import RetrievalSet

_BENCHMARKS: Final = {module.NAME: module for module in (msrvtt, didemo, activitynet, msvd, vatex)}


def retrieval_splits(name: str) -> tuple[str, ...]:
    """The splits of a benchmark, the one that everybody scores first.

    Raises:
        UserError: no such benchmark.
    """
    if name not in _BENCHMARKS:
        raise UserError(f"--benchmark {name}: no such texts and videos{nearest(name, _BENCHMARKS)}")
    return tuple(_BENCHMARKS[name].SPLITS)


def read_retrieval(name: str, annotations: Path, videos: Path, split: str | None = None) -> RetrievalSet:
    """Read one split of a benchmark.

    Args:
        name: `msrvtt`, `didemo`, `activitynet`, `msvd` or `vatex`.
        annotations: folder or file of the published annotations.
        videos: folder of the video files.
        split: `train`, or one that the benchmark's module names; None: the one that everybody scores.

    Raises:
        UserError: no such benchmark or split, or its files are not as published; names file, column and remedy.
    """
    splits = retrieval_splits(name)
    chosen = split or splits[0]
    if chosen not in splits:
        raise UserError(f"--split {chosen}: {name} has {', '.join(splits)}")
    return _BENCHMARKS[name].read(annotations, VideoFiles(videos), chosen)
