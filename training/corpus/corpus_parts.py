"""Parts of a corpus: pieces of a few megabytes of an input, each read by one worker.

Text is cut at ends of lines if there are any. `training.corpus.part_lines` reads the lines of a part.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow.parquet as pq

from shards.dataset import Dataset
from training.corpus.format_detection import DAMAGED_GZIP, DAMAGED_PARQUET, raise_damaged
from training.corpus.token_files import InputRecord

_SEARCH_BYTES: Final = 1 << 20
"""Bytes after the wanted end of a part that are searched for an end of line."""


@dataclass(frozen=True)
class CorpusPart:
    """A piece of an input."""

    source: InputRecord
    begin: int
    """First byte, row group or shard."""
    end: int
    """One past the last."""
    weight: int
    """Bytes of the input that the part accounts for."""
    data: bytes | None = None
    """Decompressed text; only for gzip."""


def split_into_parts(source: InputRecord, part_bytes: int) -> Iterator[CorpusPart]:
    """Cut an input into parts of about `part_bytes`; the same parts each time.

    Raises:
        UserError: a gzip or Parquet file is truncated or damaged.
    """
    splitters = {"text": _text_parts, "gzip": _gzip_parts, "parquet": _parquet_parts, "shards": _shard_parts}
    return splitters[source.kind](source, part_bytes)


def _text_parts(source: InputRecord, part_bytes: int) -> Iterator[CorpusPart]:
    with Path(source.path).open("rb") as file:
        begin = 0
        while begin < source.size:
            wanted = begin + part_bytes
            end = source.size if wanted >= source.size else _next_cut(file, wanted, source.size)
            yield CorpusPart(source, begin, end, end - begin)
            begin = end


def _next_cut(file: BinaryIO, position: int, size: int) -> int:
    """Return the first cut after `position`: an end of line; failing that, between words; or between characters."""
    file.seek(position)
    window = file.read(_SEARCH_BYTES)
    if position + len(window) >= size and b"\n" not in window:
        return size
    return position + _bytes_before_cut(window, window.find(b"\n"))


def _bytes_before_cut(window: bytes, newline: int) -> int:
    """Return the bytes before the cut: up to `newline`, or to the last space, or to the last whole character."""
    if newline >= 0:
        return newline + 1
    if (space := window.rfind(b" ")) >= 0:
        return space + 1
    end = len(window) - 1
    while end > 1 and window[end] & 0xC0 == 0x80:  # UTF-8: not inside a character
        end -= 1
    return end


def _gzip_parts(source: InputRecord, part_bytes: int) -> Iterator[CorpusPart]:
    begin, rest, position = 0, b"", 0
    with Path(source.path).open("rb") as file, gzip.open(file) as unpacked:
        while True:
            try:
                read = unpacked.read(part_bytes)
            except DAMAGED_GZIP as error:
                raise_damaged(error, source.path, "truncated or damaged gzip")
            data = rest + read
            if not data:
                return
            end = _bytes_before_cut(data, data.rfind(b"\n")) if read else len(data)
            yield CorpusPart(source, begin, begin + end, file.tell() - position, data[:end])
            begin, rest, position = begin + end, data[end:], file.tell()


def _parquet_parts(source: InputRecord, part_bytes: int) -> Iterator[CorpusPart]:
    try:
        with pq.ParquetFile(source.path) as file:
            sizes = [_column_bytes(file.metadata.row_group(n), source.column) for n in range(file.num_row_groups)]
    except DAMAGED_PARQUET as error:
        raise_damaged(error, source.path, "incomplete or damaged Parquet file")
    begin, size_so_far = 0, 0
    for number, size in enumerate(sizes):
        size_so_far += size
        if size_so_far >= part_bytes or number == len(sizes) - 1:
            yield CorpusPart(source, begin, number + 1, source.size * size_so_far // max(sum(sizes), 1))
            begin, size_so_far = number + 1, 0


def _column_bytes(group: Any, column: str | None) -> int:
    """Return the uncompressed size of a column in a row group."""
    chunks = (group.column(number) for number in range(group.num_columns))
    return sum(int(chunk.total_uncompressed_size) for chunk in chunks if chunk.path_in_schema == column)


def _shard_parts(source: InputRecord, _: int) -> Iterator[CorpusPart]:
    assert source.layer is not None
    shards = Dataset(source.path, source.layer, source.selection).shards
    for shard in shards:
        yield CorpusPart(source, shard, shard + 1, source.size // len(shards))
