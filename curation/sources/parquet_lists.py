"""Read the rows of a Parquet list of sources, within limits: a few kilobytes of Parquet can stand for gigabytes.

What the file states of its sizes is looked at first, and then what is decoded, a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from runtime.errors import nearest, one_line

MOST_BYTES: Final = 2 << 30
"""Bytes of all values, decoded."""
LARGEST_VALUE: Final = 1 << 20
"""Bytes of one text; a list in CSV may have an eighth of it."""

_ROWS: Final = 256  # decoded at a time: one text may be stored once for all of them
_NO_VALUE: Final = (pa.ArrowException, ValueError, OverflowError, TypeError, NotImplementedError)
"""Errors of a conversion from Arrow's values to Python's."""


class UnreadableParquet(Exception):
    """The file is refused; the message is the rest of a sentence about it."""


def read_parquet_list(path: Path, needed: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file.

    Args:
        path: the file.
        needed: a column that it must have.

    Raises:
        UnreadableParquet: it is not Parquet, has no such column, a type that Python has no values for, or too much
            in it.
        OSError: it can't be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if needed not in names:
                raise UnreadableParquet(f"has no column {needed!r}{nearest(needed, names)}")
            _check_stated_sizes(file.metadata)
            decoded = 0
            for batch in file.iter_batches(_ROWS):
                arrays = [_plain(name, column) for name, column in zip(names, batch.columns, strict=True)]
                decoded += sum(array.nbytes for array in arrays)
                if decoded > MOST_BYTES:
                    raise UnreadableParquet(f"has more than {MOST_BYTES >> 20} MiB of values; split it")
                columns = [_python_values(name, column) for name, column in zip(names, arrays, strict=True)]
                for values in zip(*columns, strict=True):
                    yield dict(zip(names, values, strict=True))
    except pa.ArrowException as error:
        raise UnreadableParquet(f"is not Parquet ({one_line(error)})") from None


def _check_stated_sizes(metadata: Any) -> None:
    """Refuse a file one of whose row groups can't be decoded in bounded memory."""
    for group in range(metadata.num_row_groups):
        size = metadata.row_group(group).total_byte_size
        if not 0 <= size <= MOST_BYTES:
            raise UnreadableParquet(f"has a row group of more than {MOST_BYTES >> 20} MiB; leave columns out")


def _plain(name: str, column: pa.Array) -> pa.Array:
    """Return a column with each of its texts written out; refuse a text that is too long."""
    encoded = pa.types.is_dictionary(column.type)
    texts = column.dictionary if encoded else column
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if any(is_kind(texts.type) for is_kind in kinds):
        longest = pc.max(pc.binary_length(texts)).as_py() or 0
        if longest > LARGEST_VALUE:
            raise UnreadableParquet(f"column {name!r} has a value of {longest >> 20} MiB; leave the column out")
    return column.dictionary_decode() if encoded else column


def _python_values(name: str, column: pa.Array) -> list[Any]:
    """Return a column's values; as text where Python has no value for them (nanoseconds, the year 300000)."""
    try:
        values: list[Any] = column.to_pylist()
    except _NO_VALUE:
        try:
            values = column.cast(pa.string()).to_pylist()
        except _NO_VALUE as error:
            raise UnreadableParquet(
                f"column {name!r} of type {column.type} can't be read ({one_line(error)}); leave it out"
            ) from None
    return values
