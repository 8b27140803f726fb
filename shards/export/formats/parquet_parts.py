"""Rows of known size written to a series of Parquet files: bounded files, bounded row groups, bounded memory."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from shards.storage.store import Store

FILE_BYTES: Final = 512 << 20
"""Bytes of videos and stills after which a file is closed: the size that the hub recommends."""
GROUP_BYTES: Final = 32 << 20
"""Bytes of videos and stills after which a row group is closed: what a reader holds at once."""
GROUP_ROWS: Final = 100


class ParquetParts:
    """A series of files with one schema, ``<stem>-00000.parquet`` and on; use `add`, then `close`."""

    def __init__(self, target: Store, stem: str, schema: pa.Schema, scratch: Path) -> None:
        self._target, self._stem, self._schema = target, stem, schema
        self._path = scratch / f"{stem.replace('/', '-')}.parquet"
        self._writer: pq.ParquetWriter | None = None
        self._rows: list[Mapping[str, Any]] = []
        self._group_bytes = self._file_bytes = self._files = 0

    def add(self, row: Mapping[str, Any], size: int) -> None:
        """Append a row whose videos and stills have `size` bytes.

        Raises:
            OSError: the disk is full or can't be written; only whole files are in the target then.
        """
        if self._rows and (len(self._rows) == GROUP_ROWS or self._group_bytes + size > GROUP_BYTES):
            self._write_group()
            if self._file_bytes + size > FILE_BYTES:
                self.close()
        self._rows.append(row)
        self._group_bytes += size

    def close(self) -> None:
        """Write what is left, and commit the file."""
        if self._rows:
            self._write_group()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._target.commit(self._path, f"{self._stem}-{self._files:05d}.parquet")
            self._files, self._file_bytes = self._files + 1, 0

    def _write_group(self) -> None:
        if self._writer is None:
            self._writer = parquet_writer(self._path, self._schema)
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema), row_group_size=GROUP_ROWS)
        self._file_bytes += self._group_bytes
        self._rows, self._group_bytes = [], 0


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a writer that compresses text and leaves bytes, which are compressed already, as they are.

    Stored as they are, the videos of two exports have the same bytes, which the hub stores once.
    """
    raw, rest = _leaves(schema)
    return pq.ParquetWriter(
        path,
        schema,
        compression=dict.fromkeys(raw, "none") | dict.fromkeys(rest, "zstd"),
        use_dictionary=rest,
        write_statistics=rest,
    )


@cache
def _leaves(schema: pa.Schema) -> tuple[list[str], list[str]]:
    """Return the paths of a schema's columns of bytes, and of all others, as Parquet names them."""
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    columns = pq.ParquetFile(buffer).schema
    raw = {f"{field.name}.bytes" for field in schema if pa.types.is_struct(field.type)}
    paths = [columns.column(number).path for number in range(len(columns.names))]
    return [path for path in paths if path in raw], [path for path in paths if path not in raw]
