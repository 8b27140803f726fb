"""`curate export`: samples for other tools, from one text layer of a DIR.

``webdataset`` writes self-contained tars, ``00000.tar`` and on, each with a Parquet of the same rows and its
figures beside it, which stock `webdataset`, `open_clip` and `video2dataset` read. ``jsonl`` copies no bytes: a line
a sample, saying where its video and its still lie in the DIR. Names parse as numbers, and the number of samples
stands in ``__len__`` (not in a ``sizes.json``: video2dataset takes every ``*.json`` for a shard of its own).
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from shards.errors import ShardError
from shards.export.clip_cutting import cut_clip
from shards.export.export_selection import EXPORT, Picked, Row, Selection, Unit, select_rows
from shards.keyframes import Still, nearest_still, read_still, stills_of
from shards.keys import shard_name
from shards.reader import media_shards, shards_in, text_layers
from shards.storage.store import Store
from shards.storage.tar import TarWriter, read_span

Format = Literal["webdataset", "jsonl"]
Progress = Callable[[int, int], None]
LENGTH_NAME = "__len__"
_MAX_BYTES_PER_TAR = 1 << 30
_THREADS = 4


def export(
    store: Store,
    layer: str,
    *,
    format: Format,
    unit: Unit,
    output: str | Path,
    where: str | None = None,
    keep_only: bool = True,
    text: str = "grounded_text",
    max_per_tar: int = 1000,
    progress: Progress | None = None,
) -> int:
    """Write the clips of a text layer as samples for other tools.

    Args:
        store: the DIR.
        layer: name of the text layer.
        format: ``webdataset`` (tars with mp4, json, txt, jpg) or ``jsonl`` (lines that point into the DIR).
        unit: one sample a clip, cut out of its root by copy; or one a root, with its whole tree in the json.
        output: an empty or new folder, or fsspec URL.
        where: a condition over the layer's columns in DuckDB's SQL.
        keep_only: leave out what the filters dropped.
        text: column for ``.txt``; where it is empty the next best text stands in, and ``text_column`` says which.
        max_per_tar: samples a tar at most; a tar is also closed at 1 GiB.
        progress: called with (shards done, shards in all).

    Returns:
        Samples written. What could not be cut is counted by reason in each tar's ``_stats.json``.

    Raises:
        ShardError: no such layer, the output is not empty, or `where` or `text` can't work.
        OSError: the disk is full or can't be written; only whole tars stand in the output then.
    """
    if layer not in text_layers(store):
        raise ShardError(f"--layer {layer}: no such text layer (there are: {', '.join(text_layers(store)) or 'none'})")
    selection = Selection(layer, unit, where, keep_only, text)
    selection.validate()
    target = Store(output)
    if target.list() or target.folders():
        raise ShardError(f"--output {output}: is not empty; name a new folder")
    shards = sorted(set(media_shards(store)) & set(shards_in(store.list(f"text/{layer}"))))
    if format == "jsonl":
        written = _write_lines(store, shards, selection, target, progress)
    else:
        written = _write_tars(_samples(store, shards, selection, progress), target, max_per_tar)
    target.commit_bytes(f"{written}\n".encode(), LENGTH_NAME)
    return written


@dataclass(frozen=True)
class _Sample:
    """One sample in memory, or why it could not be made."""

    row: Row
    mp4: bytes = b""
    jpg: bytes | None = None
    error: str | None = None

    @property
    def size(self) -> int:
        return len(self.mp4) + len(self.jpg or b"")


def _samples(store: Store, shards: Sequence[int], selection: Selection, progress: Progress | None) -> Iterator[_Sample]:
    """All samples in order; the roots that follow are read and cut while one is written."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for done, shard in enumerate(shards, start=1):
            stills = stills_of(store, shard)

            def make(
                picked: Picked, shard: int = shard, stills: Mapping[str, Sequence[Still]] = stills
            ) -> list[_Sample]:
                return _samples_of_root(store, shard, picked, stills.get(picked.root_key, ()), selection.unit)

            for samples in _ahead(pool, make, select_rows(store, shard, selection)):
                yield from samples
            if progress is not None:
                progress(done, len(shards))


def _samples_of_root(store: Store, shard: int, picked: Picked, stills: Sequence[Still], unit: Unit) -> list[_Sample]:
    name = shard_name(shard)
    root = read_span(store, f"media/{name}.tar", picked.byte_offset, picked.byte_size)
    samples = []
    for row in picked.rows:
        still = _still_of(row, stills)
        jpg = None if still is None else read_still(store, shard, still)
        try:
            row, mp4 = (row, root) if unit == "root" else _cut(row, root)
            samples.append(_Sample(row, mp4, jpg))
        except ValueError as error:
            samples.append(_Sample(row, error=str(error)))
    return samples


def _cut(row: Row, root: bytes) -> tuple[Row, bytes]:
    """One clip's own video, and its row with `offset` and `num_frames` of that video."""
    cut = cut_clip(root, row["offset"], row["offset"] + row["end"] - row["start"], row["fps"])
    own = {
        "offset": row["offset"] - cut.first_frame / row["fps"],
        "num_frames": cut.num_frames,
        "root_first_frame": cut.first_frame,
    }
    return row | own, cut.data


def _still_of(row: Row, stills: Sequence[Still]) -> Still | None:
    return nearest_still(stills, row["start"], row["end"])


def _write_tars(samples: Iterable[_Sample], target: Store, max_per_tar: int) -> int:
    written = 0
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        for number, group in groupby(_numbered(samples, max_per_tar), key=lambda pair: pair[0]):
            written += _write_tar((sample for _, sample in group), target, f"{number:05d}", Path(scratch))
    return written


def _numbered(samples: Iterable[_Sample], max_per_tar: int) -> Iterator[tuple[int, _Sample]]:
    """Each sample with the number of its tar."""
    number = count = size = 0
    for sample in samples:
        if sample.error is None:
            if count and (count == max_per_tar or size + sample.size > _MAX_BYTES_PER_TAR):
                number, count, size = number + 1, 0, 0
            count, size = count + 1, size + sample.size
        yield number, sample


def _write_tar(samples: Iterable[_Sample], target: Store, stem: str, scratch: Path) -> int:
    """Write one tar, then its rows, then its figures, which mark it as complete; the samples written."""
    rows: list[Row] = []
    counts: Counter[str] = Counter()
    with TarWriter(scratch / f"{stem}.tar") as tar:
        for sample in samples:
            counts[sample.error or "success"] += 1
            if sample.error is None:
                _add(tar, sample)
                rows.append(sample.row)
    if rows:
        target.commit(tar.path, f"{stem}.tar")
        pq.write_table(pa.Table.from_pylist(rows, schema=EXPORT), scratch / f"{stem}.parquet", compression="zstd")
        target.commit(scratch / f"{stem}.parquet", f"{stem}.parquet")
    target.commit_bytes(json.dumps(_stats(rows, counts), indent=2).encode(), f"{stem}_stats.json")
    return len(rows)


def _add(tar: TarWriter, sample: _Sample) -> None:
    key = sample.row["key"]
    tar.add(f"{key}.mp4", sample.mp4)
    tar.add(f"{key}.json", json.dumps(sample.row, ensure_ascii=False).encode())
    if sample.row["text"]:
        tar.add(f"{key}.txt", sample.row["text"].encode())
    if sample.jpg is not None:
        tar.add(f"{key}.jpg", sample.jpg)


def _stats(rows: Sequence[Row], counts: Mapping[str, int]) -> dict[str, Any]:
    """Figures of one tar, under video2dataset's names where it has one."""
    return {
        "count": sum(counts.values()),
        "successes": len(rows),
        "failed_to_download": 0,
        "failed_to_subsample": sum(counts.values()) - len(rows),
        "duration": sum(row["end"] - row["start"] for row in rows),
        "without_text": sum(not row["text"] for row in rows),
        "status_dict": dict(counts),
    }


def _write_lines(
    store: Store, shards: Sequence[int], selection: Selection, target: Store, progress: Progress | None
) -> int:
    written = 0
    for done, shard in enumerate(shards, start=1):
        stills = stills_of(store, shard)
        lines = [
            json.dumps(row | _places(store, shard, picked, _still_of(row, stills.get(picked.root_key, ()))))
            for picked in select_rows(store, shard, selection)
            for row in picked.rows
        ]
        target.commit_bytes("".join(f"{line}\n" for line in lines).encode(), f"{shard_name(shard)}.jsonl")
        written += len(lines)
        if progress is not None:
            progress(done, len(shards))
    return written


def _places(store: Store, shard: int, picked: Picked, still: Still | None) -> Row:
    """Where a sample's video (its root's) and its still lie: path, first byte, number of bytes."""
    name = shard_name(shard)
    media = {"path": store.path(f"media/{name}.tar"), "offset": picked.byte_offset, "size": picked.byte_size}
    if still is None:
        return {"media": media, "keyframe": None}
    keyframe = {"path": store.path(f"keyframes/{name}.tar"), "offset": still.offset, "size": still.size}
    return {"media": media, "keyframe": keyframe}


A = TypeVar("A")
B = TypeVar("B")


def _ahead(pool: ThreadPoolExecutor, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """`function` of every item in order, a few items ahead of the reader: memory stays bounded."""
    waiting: deque[Future[B]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > 2 * _THREADS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
