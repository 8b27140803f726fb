"""Samples as self-contained tars, each with a Parquet of the same rows and its figures beside it."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from shards.export.export_rows import ExportRow, sample_facts
from shards.export.export_source import ExportSample
from shards.storage.store import Store
from shards.storage.tar import TarWriter

_MAX_BYTES_PER_TAR: Final = 1 << 30


def write_tars(samples: Iterable[ExportSample], target: Store, schema: pa.Schema, max_per_tar: int) -> int:
    """Write samples as ``00000.tar`` and on, and return how many were written.

    A tar is closed after `max_per_tar` samples, or at 1 GiB. Failed samples are counted in its ``_stats.json``. The
    Parquet table beside it has the columns of `schema`.

    Raises:
        OSError: the disk is full or can't be written; only whole tars are in the output then.
    """
    written = 0
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        for number, group in groupby(_with_tar_number(samples, max_per_tar), key=lambda pair: pair[0]):
            written += _write_tar((sample for _, sample in group), target, schema, f"{number:05d}", Path(scratch))
    return written


def _with_tar_number(samples: Iterable[ExportSample], max_per_tar: int) -> Iterator[tuple[int, ExportSample]]:
    number = count = size = 0
    for sample in samples:
        if sample.error is None:
            if count and (count == max_per_tar or size + sample.size > _MAX_BYTES_PER_TAR):
                number, count, size = number + 1, 0, 0
            count, size = count + 1, size + sample.size
        yield number, sample


def _write_tar(samples: Iterable[ExportSample], target: Store, schema: pa.Schema, stem: str, scratch: Path) -> int:
    """Write one tar, then its rows, then its figures, which mark it as complete; return the samples written."""
    rows: list[ExportRow] = []
    counts: Counter[str] = Counter()
    with TarWriter(scratch / f"{stem}.tar") as tar:
        for sample in samples:
            counts[sample.error or "success"] += 1
            if sample.error is None:
                _add(tar, sample)
                rows.append(sample.row)
    if rows:
        target.commit(tar.path, f"{stem}.tar")
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), scratch / f"{stem}.parquet", compression="zstd")
        target.commit(scratch / f"{stem}.parquet", f"{stem}.parquet")
    target.commit_bytes(json.dumps(_stats(rows, counts), indent=2).encode(), f"{stem}_stats.json")
    return len(rows)


def _add(tar: TarWriter, sample: ExportSample) -> None:
    key = sample.row["key"]
    tar.add(f"{key}.mp4", sample.mp4)
    tar.add(f"{key}.json", json.dumps(sample_facts(sample.row), ensure_ascii=False).encode())
    if sample.row["text"]:
        tar.add(f"{key}.txt", sample.row["text"].encode())
    if sample.jpg is not None:
        tar.add(f"{key}.jpg", sample.jpg)


def _stats(rows: Sequence[ExportRow], counts: Mapping[str, int]) -> dict[str, int | float | dict[str, int]]:
    """Return the figures of one tar; those that video2dataset writes, too, have its names."""
    return {
        "count": sum(counts.values()),
        "successes": len(rows),
        "failed_to_download": 0,
        "failed_to_subsample": sum(counts.values()) - len(rows),
        "duration": sum(row["end"] - row["start"] for row in rows),
        "without_text": sum(not row["text"] for row in rows),
        "status_dict": dict(counts),
    }
