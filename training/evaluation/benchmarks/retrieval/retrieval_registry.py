"""Registry of the retrieval benchmarks. A new one is a module with its `BENCHMARK` and a line here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.annotation_files import VideoFiles
from runtime.errors import UserError, nearest
from training.evaluation.benchmarks.retrieval import activitynet, didemo, lsmdc, msrvtt, msvd, vatex
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalBenchmark, RetrievalSet

_ALL: Final = (
    msrvtt.BENCHMARK,
    didemo.BENCHMARK,
    activitynet.BENCHMARK,
    msvd.BENCHMARK,
    vatex.BENCHMARK,
    lsmdc.BENCHMARK,
)

RETRIEVAL_BENCHMARKS: Final[dict[str, RetrievalBenchmark]] = {benchmark.name: benchmark for benchmark in _ALL}
"""Every retrieval benchmark by name."""


def retrieval_splits(name: str) -> tuple[str, ...]:
    """Return the splits of a benchmark, the published test split first.

    Raises:
        UserError: no such benchmark.
    """
    if name not in RETRIEVAL_BENCHMARKS:
        raise UserError(f"--benchmark {name}: no such retrieval benchmark{nearest(name, RETRIEVAL_BENCHMARKS)}")
    return RETRIEVAL_BENCHMARKS[name].splits


def read_retrieval(name: str, annotations: Path, videos: Path, split: str | None = None) -> RetrievalSet:
    """Read one split of a benchmark.

    Args:
        name: a key of `RETRIEVAL_BENCHMARKS`.
        annotations: folder or file of the published annotations.
        videos: folder of the video files.
        split: one of the benchmark's splits; None: the published test split.

    Raises:
        UserError: no such benchmark or split, or its files are not as published; names file, column and remedy.
    """
    splits = retrieval_splits(name)
    chosen = split or splits[0]
    if chosen not in splits:
        raise UserError(f"--split {chosen}: {name} has {', '.join(splits)}")
    return RETRIEVAL_BENCHMARKS[name].read(annotations, VideoFiles(videos), chosen)
