"""The sources of a DIR as they are stored: ``sources/<first>-<last>.parquet``, one part for each range of shards.

Rows are sorted by shard, and no shard is in two parts: one listing and one row group give the sources of a shard.
DIRs of earlier versions have a single ``sources.parquet``, which is read too; as long as it is there, it counts and the
parts don't (an upgrade was interrupted).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from shards.keys import shard_name
from shards.reader import parquet_file, read_table
from shards.schema import SOURCES
from shards.schema_1 import SOURCES_1
from shards.sources.overlapping_spans import with_overlaps
from shards.storage.store import Store

SOURCES_FOLDER: Final = "sources"
"""Folder of the parts in a DIR."""
SINGLE_TABLE: Final = "sources.parquet"
"""The table of earlier versions."""
_NAME: Final = re.compile(r"(\d{7,})-(\d{7,})\.parquet")


class _Part(NamedTuple):
    """The file of one range of shards."""

    first: int
    last: int
    name: str


def part_name(first: int, last: int) -> str:
    """Return the name of the part with the shards `first` to `last` in a DIR."""
    return f"{SOURCES_FOLDER}/{shard_name(first)}-{shard_name(last)}.parquet"


def shards_of_part(name: str) -> tuple[int, int] | None:
    """Return the first and the last shard of a part, by its file name; None for another file."""
    match = _NAME.fullmatch(name)
    return None if match is None else (int(match[1]), int(match[2]))


class SourceParts:
    """The sources of a DIR, listed once, for reading."""

    def __init__(self, store: Store) -> None:
        """List the parts; no file is opened."""
        self._store = store
        self.is_single = store.exists(SINGLE_TABLE)
        shards = {name: shards_of_part(name) for name in store.list(SOURCES_FOLDER)}
        self._parts = sorted(_Part(*found, f"{SOURCES_FOLDER}/{name}") for name, found in shards.items() if found)

    def __bool__(self) -> bool:
        """Return True if the DIR has sources."""
        return bool(self.names)

    @property
    def names(self) -> Sequence[str]:
        """Names of the files in the DIR, in order of their shards."""
        return [SINGLE_TABLE] if self.is_single else [part.name for part in self._parts]

    def rows_of(self, shard: int) -> pa.Table:
        """Return the sources of a shard, in their order; schema `shards.schema.SOURCES`.

        Only the row groups that hold the shard are read.

        Raises:
            ShardError: a file is unreadable.
            FileNotFoundError: the DIR has no sources.
        """
        if self.is_single or not self._parts:
            return _of_shard(self._single(), shard)
        found = [self._from_part(part.name, shard) for part in self._parts if part.first <= shard <= part.last]
        return pa.concat_tables(found) if found else SOURCES.empty_table()

    def tables(self, columns: Sequence[str] = SOURCES.names) -> Iterator[pa.Table]:
        """Yield all sources in their order, a row group at a time.

        Raises:
            ShardError: a file is unreadable, or lacks a column.
        """
        if self.is_single:
            yield self._single().select(columns)
            return
        for part in self._parts:
            yield from self.tables_of(part.name, columns)

    def tables_of(self, name: str, columns: Sequence[str] = SOURCES.names) -> Iterator[pa.Table]:
        """Yield the sources of one part, a row group at a time; raises as `tables`."""
        schema = pa.schema([SOURCES.field(column) for column in columns])
        with parquet_file(self._store, name, columns) as file:
            for group in range(file.metadata.num_row_groups):
                yield file.read_row_group(group, columns=list(columns), use_threads=False).select(columns).cast(schema)

    def table(self, columns: Sequence[str] = SOURCES.names) -> pa.Table:
        """Return all sources in their order in memory, for DIRs and columns that are known to be small."""
        schema = pa.schema([SOURCES.field(column) for column in columns])
        return pa.concat_tables([schema.empty_table(), *self.tables(columns)])

    def _single(self) -> pa.Table:
        return with_overlaps(read_table(self._store, SINGLE_TABLE, SOURCES_1.names).select(SOURCES_1.names)).cast(
            SOURCES
        )

    def _from_part(self, name: str, shard: int) -> pa.Table:
        place = SOURCES.get_field_index("shard")
        with parquet_file(self._store, name, SOURCES.names) as file:
            facts = file.metadata
            groups = [
                number
                for number in range(facts.num_row_groups)
                if _may_hold(facts.row_group(number).column(place).statistics, shard)
            ]
            return _of_shard(file.read_row_groups(groups, columns=SOURCES.names, use_threads=False), shard)


def _may_hold(statistics: Any, shard: int) -> bool:
    """Return False if a row group can't hold rows of a shard, by its column's statistics."""
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= shard <= statistics.max)


def _of_shard(table: pa.Table, shard: int) -> pa.Table:
    return table.select(SOURCES.names).filter(pc.equal(table["shard"], shard)).cast(SOURCES)
