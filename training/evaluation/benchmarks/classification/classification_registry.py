"""Registry of the classification benchmarks. A new one is a module with its `BENCHMARK` and a line here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.errors import UserError, nearest
from training.evaluation.benchmarks.classification import class_folders, hmdb51, kinetics, ssv2, ucf101
from training.evaluation.benchmarks.classification.classification_set import ClassificationBenchmark, ClassificationSet

_ALL: Final = (
    *kinetics.BENCHMARKS,
    ssv2.BENCHMARK,
    ucf101.BENCHMARK,
    hmdb51.BENCHMARK,
    class_folders.BENCHMARK,
)

CLASSIFICATION_BENCHMARKS: Final[dict[str, ClassificationBenchmark]] = {benchmark.name: benchmark for benchmark in _ALL}
"""Every classification benchmark by name."""


def labelled_splits(name: str) -> tuple[str, ...]:
    """Return the splits of a benchmark, that of the published scores first.

    Raises:
        UserError: no such benchmark.
    """
    return _benchmark(name).splits


def read_labelled(name: str, annotations: Path | None, videos: Path, split: str | None = None) -> ClassificationSet:
    """Read one split of a benchmark.

    Args:
        name: a key of `CLASSIFICATION_BENCHMARKS`.
        annotations: folder or file of the published annotations; not used by `folder`.
        videos: folder of the video files.
        split: one of the benchmark's splits; None: that of the published scores.

    Raises:
        UserError: no such benchmark or split, or its files are not as published; names file, column and remedy.
    """
    benchmark = _benchmark(name)
    chosen = split or benchmark.splits[0]
    if chosen not in benchmark.splits:
        raise UserError(f"--split {chosen}: {name} has {', '.join(benchmark.splits)}")
    if annotations is None and benchmark.files:
        raise UserError(f"--annotations: must be given for {name}; name the folder of its published files")
    return benchmark.read(annotations or videos, videos, chosen)


def _benchmark(name: str) -> ClassificationBenchmark:
    if name not in CLASSIFICATION_BENCHMARKS:
        known = nearest(name, CLASSIFICATION_BENCHMARKS)
        raise UserError(f"--benchmark {name}: no such classification benchmark{known}")
    return CLASSIFICATION_BENCHMARKS[name]
