"""A Lance table, ``data.lance``: rows with vectors, a full-text index over the texts, and videos read on demand.

With ``bytes`` a video is a blob of the column ``video`` (`LanceDataset.take_blobs`), which no query reads unless it
asks for it; with ``reference`` it is a file, named in the column ``video_path`` relative to the export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any, Final

import pyarrow as pa

from shards.errors import ShardError
from shards.export.export_source import ExportSample
from shards.export.export_vectors import ExportVectors
from shards.export.formats.column_types import plain_fields
from shards.export.formats.hf_dataset import VIDEOS_PER_FOLDER, VideoStorage
from shards.export.formats.parquet_parts import GROUP_BYTES, GROUP_ROWS
from shards.storage.store import Store

TABLE_NAME: Final = "data.lance"
_STORAGE: Final = "2.1"
"""Version of Lance's files: blobs of later ones have a type of their own, which `datasets` does not open."""
_BLOB: Final = {"lance-encoding:blob": "true"}


def check_lance(target: Store) -> None:
    """Refuse an export to Lance that can't be written, before any work.

    Raises:
        ShardError: the library is not installed, or the output is no local folder.
    """
    if find_spec("lance") is None:
        raise ShardError("--format lance: the library of Lance is not installed; install it with `pip install pylance`")
    if not target.is_local:
        raise ShardError(f"--output {target.root}: a Lance table is written to a local folder; copy it from there")


def write_lance(
    samples: Iterable[ExportSample], target: Store, schema: pa.Schema, vectors: ExportVectors, video: VideoStorage
) -> int:
    """Write samples as a Lance table, and return how many were written; failed samples are left out.

    Args:
        samples: in the order of shards.
        target: the empty output, a local folder.
        schema: columns of the samples (`shards.export.export_rows.export_schema`).
        vectors: of the samples' DIR.
        video: inside the table or beside it.

    Raises:
        ShardError: a table or a file of vectors is damaged.
        OSError: the disk is full or can't be written.
    """
    import lance

    column = (
        pa.field("video", pa.large_binary(), metadata=_BLOB)
        if video == "bytes"
        else pa.field("video_path", pa.string())
    )
    columns = pa.schema([column, pa.field("image", pa.binary()), *plain_fields(schema), *vectors.fields])
    rows = _rows(samples, target, vectors, video)
    reader = pa.RecordBatchReader.from_batches(columns, _batches(rows, columns))
    table = lance.write_dataset(reader, target.path(TABLE_NAME), data_storage_version=_STORAGE)
    written = int(table.count_rows())
    if written:
        table.create_scalar_index("text", "INVERTED")
    return written


def _rows(
    samples: Iterable[ExportSample], target: Store, vectors: ExportVectors, video: VideoStorage
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each row and the bytes of its video and still."""
    number = 0
    for sample in samples:
        if sample.error is not None:
            continue
        row, key = sample.row, sample.row["key"]
        files: dict[str, Any] = {"image": sample.jpg, "video": sample.mp4}
        if video == "reference":
            path = f"videos/{number // VIDEOS_PER_FOLDER:05d}/{key}.mp4"
            target.commit_bytes(sample.mp4, path)
            files = {"image": sample.jpg, "video_path": path}
        number += 1
        yield {**files, **row, **vectors.of_clip(row["shard"], key)}, sample.size


def _batches(rows: Iterable[tuple[dict[str, Any], int]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield rows in batches of bounded bytes."""
    held: list[dict[str, Any]] = []
    size = 0
    for row, bytes_ in rows:
        if held and (len(held) == GROUP_ROWS or size + bytes_ > GROUP_BYTES):
            yield pa.RecordBatch.from_pylist(held, schema=schema)
            held, size = [], 0
        held.append(row)
        size += bytes_
    if held:
        yield pa.RecordBatch.from_pylist(held, schema=schema)
