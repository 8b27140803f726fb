"""The sources of a DIR and of a run in a DuckDB database on disk: planning takes the same memory for any number.

The narrow columns by which sources are compared are tables of the database; the whole rows of a run's own sources are
staged beside it as Parquet.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.sources.inputs import Source
from curation.sources.source_rows import SourceRow
from curation.sources.table import planning_sql as sql
from curation.sources.table.disk_database import DiskDatabase
from curation.sources.table.shard_placement import ShardPlacement
from shards.schema import SOURCES
from shards.sources.overlapping_spans import OverlapNumbers

_BATCH: Final = 8_192
_YOUTUBE: Final = r"youtube\.com/|youtu\.be/"
_EXAMPLES: Final = 3
_WIDE: Final = pa.schema(
    [
        pa.field("kind", pa.int32()),
        pa.field("place", pa.int64()),
        *(SOURCES.field(name) for name in ("source", "video_id", "start", "end", "carried")),
    ]
)
_PLACED: Final = pa.schema([("kind", pa.int32()), ("place", pa.int64()), ("number", pa.int64()), ("shard", pa.int32())])
_NUMBERS: Final = pa.schema([("kind", pa.int32()), ("place", pa.int64()), ("overlap", pa.int32())])
_AGAIN: Final = 0
_FRESH: Final = 1
T = TypeVar("T")


class PlanningTables:
    """The database of one plan; it is deleted with the object."""

    def __init__(self) -> None:
        self._database = DiskDatabase(sql.TABLES)
        self._connection, self._path = self._database.connection, self._database.folder
        self.found = 0
        """Sources of the run, those that were removed on request included."""
        self.has_urls = False
        """True if one of them is a URL."""
        self.has_youtube = False
        """True if a source of the DIR or of the run is on YouTube."""
        self.refused = 0
        """Sources of the run that were removed on request."""
        self.refused_examples: list[str] = []

    def close(self) -> None:
        """Delete the database."""
        self._database.close()

    def add_known(self, tables: Iterable[pa.Table]) -> None:
        """Add the sources of the DIR, in order."""
        first = 0
        for table in tables:
            rows = pa.array(np.arange(first, first + table.num_rows))
            self._database.insert(sql.ADD_KNOWN, table.drop_columns(["carried"]).append_column("row", rows))
            self._look_for_youtube(table["source"])
            first += table.num_rows

    def add_found(self, sources: Iterable[Source], exclude: frozenset[str], removed: Collection[str]) -> None:
        """Add the sources of the run, in order, without those that were removed on request.

        Args:
            sources: the sources of the run.
            exclude: names by which sources are marked as `excluded`.
            removed: ids of videos that were removed.
        """
        place = 0
        with pq.ParquetWriter(self._path / "found.parquet", _WIDE, compression="lz4") as writer:
            for batch in _batches(self._not_removed(sources, removed)):
                wide = _wide(batch, place)
                writer.write_table(wide)
                excluded = [not exclude.isdisjoint(_names(s)) for s in batch] if exclude else [False] * len(batch)
                narrow = wide.drop_columns(["kind", "carried"])
                self._database.insert(sql.ADD_FOUND, narrow.append_column("excluded", pa.array(excluded)))
                self._look_for_youtube(wide["source"])
                place += len(batch)

    def add_asked(self, rows: Iterable[SourceRow]) -> None:
        """Add attempts that are to be repeated."""
        for batch in _batches(rows):
            columns = {name: [getattr(row, name) for row in batch] for name in ("source", "video_id", "start", "end")}
            schema = pa.schema([SOURCES.field(name) for name in columns])
            attempts = pa.array([row.attempt for row in batch], pa.int32())
            self._database.insert(sql.ADD_ASKED, pa.table(columns, schema=schema).append_column("attempt", attempts))

    def choose(self, limit: int | None) -> None:
        """Decide which sources are new and which are tried again, and prepare their order."""
        for statement in (sql.CHOOSE_AGAIN, sql.CHOOSE_FRESH):
            self._connection.execute(statement)
        if limit is not None:
            self._connection.execute(sql.LIMIT_FRESH, [limit])
        self._connection.execute(sql.ADDED)
        self._connection.execute(sql.HEADS)
        self._connection.execute(sql.ORDERED)

    def number(self, query: str) -> int:
        """Return the single number of a query's result, 0 for null."""
        return self._database.number(query)

    def column(self, query: str) -> list[Any]:
        """Return the first column of a query's result."""
        return self._database.column(query)

    def known_shards(self) -> tuple[list[int], int]:
        """Return the shards of the DIR in order, and the most sources with work in one of them."""
        table = self._connection.sql(sql.KNOWN_SHARDS).to_arrow_table()
        return table["shard"].to_pylist(), pc.max(table["working"]).as_py() or 0

    def place(self, first: int, size: int) -> tuple[int, int]:
        """Put the rows to add into shards.

        Args:
            first: the first new shard.
            size: sources with work in one shard; sources of one video are never parted.

        Returns:
            The number of new shards, and the most sources with work in one of them.
        """
        path, shards = self._path / "placed.parquet", ShardPlacement(size)
        with pq.ParquetWriter(path, _PLACED, compression="lz4") as writer:
            number = 0
            for batch in self._connection.sql(sql.IN_ORDER).to_arrow_reader(_BATCH):
                numbers = np.arange(number, number + batch.num_rows)
                placed = first + shards.of(batch["position"].to_numpy(), batch["works"].to_numpy(zero_copy_only=False))
                columns = [batch["kind"], batch["place"], pa.array(numbers), pa.array(placed, pa.int32())]
                writer.write_table(pa.table(columns, schema=_PLACED))
                number += batch.num_rows
        self._view("placed", path)
        self._give_numbers()
        return shards.count if number else 0, shards.largest

    def added_rows(self, known: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yield the rows to add in their order, with the schema `shards.schema.SOURCES`.

        Args:
            known: the sources of the DIR once more, from which further attempts are copied.
        """
        again = self._path / "again.parquet"
        with pq.ParquetWriter(again, _WIDE, compression="lz4") as writer:
            for table in self._copies(known):
                writer.write_table(table)
        self._view("wide", self._path / "found.parquet", again)
        for batch in self._connection.sql(sql.ADDED_ROWS).to_arrow_reader(_BATCH):
            yield pa.table(batch).cast(SOURCES)

    def _view(self, name: str, *paths: Path) -> None:
        files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        self._connection.execute(f"create or replace view {name} as select * from read_parquet([{files}])")  # noqa: S608  own files

    def _look_for_youtube(self, sources: pa.ChunkedArray) -> None:
        self.has_youtube = self.has_youtube or bool(pc.any(pc.match_substring_regex(sources, _YOUTUBE)).as_py())

    def _not_removed(self, sources: Iterable[Source], removed: Collection[str]) -> Iterator[Source]:
        for source in sources:
            self.found += 1
            self.has_urls = self.has_urls or source.is_url
            if source.video_id not in removed:
                yield source
                continue
            self.refused += 1
            if self.refused <= _EXAMPLES:
                self.refused_examples.append(source.source)

    def _give_numbers(self) -> None:
        """Number the spans of videos of which there are several; all others have the number 1."""
        path = self._path / "numbers.parquet"
        with pq.ParquetWriter(path, _NUMBERS, compression="lz4") as writer:
            video, numbers = None, OverlapNumbers()
            for batch in self._connection.sql(sql.SHARED_VIDEOS).to_arrow_reader(_BATCH):
                given: dict[int, int] = {}
                for video_id, first, until, overlap, place in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                    if video_id != video:
                        video, numbers = video_id, OverlapNumbers()
                    if place is None:
                        numbers.keep((first, until), overlap)
                    else:
                        given[place] = numbers.give((first, until))
                columns = [pa.array([_FRESH] * len(given), pa.int32()), pa.array(given), pa.array(given.values())]
                writer.write_table(pa.table(columns, names=_NUMBERS.names).cast(_NUMBERS))
        self._view("numbers", path)

    def _copies(self, known: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yield the whole rows of the sources that are tried again."""
        chosen = self._connection.sql("select row, place from again order by row").to_arrow_table()
        rows, places = chosen["row"].to_numpy(), chosen["place"].to_numpy()
        first = 0
        for table in known if len(rows) else ():
            low, high = np.searchsorted(rows, [first, first + table.num_rows])
            copied = table.take(pa.array(rows[low:high] - first)).select(_WIDE.names[2:])
            kinds, own = pa.array(np.full(high - low, _AGAIN), pa.int32()), pa.array(places[low:high])
            yield pa.table([kinds, own, *copied.columns], schema=_WIDE)
            first += table.num_rows


def _batches(items: Iterable[T]) -> Iterator[Sequence[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _names(source: Source) -> Sequence[str]:
    """Return all names by which a source can be excluded."""
    return source.source, source.video_id, source.canonical, source.canonical.partition(":")[2]


def _wide(batch: Sequence[Source], place: int) -> pa.Table:
    columns = [
        pa.array(np.full(len(batch), _FRESH), pa.int32()),
        pa.array(np.arange(place, place + len(batch))),
        [source.source for source in batch],
        [source.video_id for source in batch],
        pa.array([source.start for source in batch], pa.float64()),
        pa.array([source.end for source in batch], pa.float64()),
        pa.array([_carried(source) for source in batch], pa.string()),
    ]
    return pa.table(columns, schema=_WIDE)


def _carried(source: Source) -> str | None:
    return json.dumps(source.carried, ensure_ascii=False) if source.carried else None
