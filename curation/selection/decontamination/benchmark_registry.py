"""The benchmarks that a DIR can be cleaned of. A new one is a file with its `READER` and a line here."""

from __future__ import annotations

from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkReader
from curation.selection.decontamination.benchmarks import (
    activitynet,
    didemo,
    hmdb51,
    kinetics,
    lsmdc,
    msrvtt,
    msvd,
    ssv2,
    ucf101,
    vatex,
)
from runtime.errors import UserError, nearest

_ALL: Final = (
    msrvtt.READER,
    didemo.READER,
    activitynet.READER,
    msvd.READER,
    vatex.READER,
    *kinetics.READERS,
    ssv2.READER,
    ucf101.READER,
    hmdb51.READER,
    lsmdc.READER,
)

BENCHMARKS: Final[dict[str, BenchmarkReader]] = {reader.name: reader for reader in _ALL}
"""Every benchmark by name; names are those of `eval-vidla --benchmark`."""


def benchmark_named(name: str) -> BenchmarkReader:
    """Return the reader of a benchmark.

    Raises:
        UserError: no such benchmark.
    """
    if name not in BENCHMARKS:
        raise UserError(f"--benchmark {name}: no such benchmark{nearest(name, BENCHMARKS)}")
    return BENCHMARKS[name]
