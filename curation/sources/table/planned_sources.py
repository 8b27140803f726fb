"""Decides which sources are new, which need no work, and which shard each goes into. Append-only.

Rows of the DIR never change: a source keeps its shard, and new rows fill new shards at the end. Spans of one video that
are added by one run share a shard, in the place of the first: the video is downloaded and decoded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from curation.sources.inputs import Source
from curation.sources.source_rows import SourceRow, is_url, source_rows
from curation.sources.table import planning_sql as sql
from curation.sources.table.planning_tables import PlanningTables

_MAX_PER_SHARD: Final = 64
_SHARDS_AT_FIRST: Final = 16

KnownSources = Callable[[], Iterable[pa.Table]]
"""Returns the sources of a DIR in their order, in pieces; schema `shards.schema.SOURCES`. Called once or more."""


@dataclass(frozen=True)
class Refused:
    """Sources of a run that were removed on request, and are not added again."""

    count: int
    examples: tuple[str, ...]
    """The first ones."""


@dataclass(frozen=True)
class PlannedSources:
    """The sources of a DIR together with those that a run adds to them."""

    known: int
    """Rows that the DIR holds."""
    found: int
    """Sources that were read from the inputs of the run."""
    new: int
    """Rows to add."""
    videos_per_shard: int
    """Sources with work to do in each new shard; one of a video with more spans is larger."""
    largest_shard: int
    """Most sources with work to do in one shard; runs may have used different sizes."""
    shards: tuple[int, ...]
    """All shards, in order."""
    refused: Refused
    has_urls: bool
    """True if the inputs name a URL."""
    has_youtube: bool
    """True if a source is on YouTube."""
    tables: PlanningTables
    """The database of the plan."""
    known_rows: KnownSources

    def added(self) -> Iterator[pa.Table]:
        """Yield the rows to add in order, in pieces."""
        return self.tables.added_rows(self.known_rows()) if self.new else iter(())

    def pieces(self) -> Iterator[pa.Table]:
        """Yield all rows in order, in pieces."""
        yield from self.known_rows()
        yield from self.added()

    @property
    def rows(self) -> Iterator[SourceRow]:
        """All rows, in order, one at a time."""
        return (row for piece in self.pieces() for row in source_rows(piece))

    def local_in(self, shards: Collection[int]) -> Iterator[tuple[int, str]]:
        """Yield shard and path of each local file of the DIR with work to do in `shards`."""
        if not self.tables.number(sql.COUNT_LOCAL):
            return
        for piece in self.known_rows():
            for row in source_rows(piece.filter(pc.invert(pc.starts_with(piece["source"], "http")))):
                if row.planned_state is None and row.shard in shards and not is_url(row.source):
                    yield row.shard, row.source

    def known_in(self, shards: Collection[int]) -> list[SourceRow]:
        """Return the rows of the DIR in `shards`, in order."""
        wanted = pa.array(sorted(shards), pa.int32())
        return [
            row for piece in self.known_rows() for row in source_rows(piece.filter(pc.is_in(piece["shard"], wanted)))
        ]

    def shards_tried_again(self) -> set[int]:
        """Return the shards of the DIR with a source that has, or gets, a later attempt in another shard."""
        return set(self.tables.column(sql.RETRIED_SHARDS))

    def close(self) -> None:
        """Delete the plan's database; the counts stay."""
        self.tables.close()


def plan_sources(
    known: KnownSources,
    found: Iterable[Source],
    *,
    videos_per_shard: int | Literal["auto"],
    limit: int | None = None,
    exclude: Iterable[str] = (),
    retry: Iterable[SourceRow] = (),
    removed: Collection[str] = (),
) -> PlannedSources:
    """Plan the new sources of a run, and new attempts at failed ones. Memory doesn't grow with their number.

    Args:
        known: the sources of the DIR.
        found: sources of this run; those that the DIR holds already are not added again.
        videos_per_shard: sources with work to do in one new shard; ``auto`` decides by the number of sources with work
            to do, old and new. The shards that are there keep their sources.
        limit: most new sources to add; sources that need no work and retries don't count.
        exclude: video ids, canonical ids (``youtube:x``), ids of the site (``x``) or sources to mark as `excluded`.
        retry: attempts that failed and are to be repeated, unless the DIR holds a later attempt.
        removed: ids of videos that were removed on request: sources of `found` with such an id are left out.
    """
    tables = PlanningTables()
    tables.add_known(known())
    tables.add_found(found, frozenset(exclude), removed)
    tables.add_asked(retry)
    tables.choose(limit)
    old_shards, largest = tables.known_shards()
    first = old_shards[-1] + 1 if old_shards else 0
    size = auto_videos_per_shard(tables.number(sql.COUNT_WORK)) if videos_per_shard == "auto" else videos_per_shard
    shards, largest_new = tables.place(first, size)
    largest = max(largest, largest_new)
    return PlannedSources(
        known=tables.number(sql.COUNT_KNOWN),
        found=tables.found,
        new=tables.number(sql.COUNT_ADDED),
        videos_per_shard=size,
        largest_shard=largest or size,
        shards=(*old_shards, *range(first, first + shards)),
        refused=Refused(tables.refused, tuple(tables.refused_examples)),
        has_urls=tables.has_urls,
        has_youtube=tables.has_youtube,
        tables=tables,
        known_rows=known,
    )


def auto_videos_per_shard(sources: int) -> int:
    """Return a shard size that gives a small run 16 shards, and a large one shards of 64 videos."""
    return min(max(math.ceil(sources / _SHARDS_AT_FIRST), 1), _MAX_PER_SHARD)
