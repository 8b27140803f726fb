"""Decides which sources are new, which need no work, and which shard each goes into. Pure, and append-only.

Rows that are in ``sources.parquet`` never change: a source keeps its shard, and new rows fill new shards at the end.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import pyarrow as pa

from curation.sources.inputs import Source
from curation.sources.overlapping_spans import Span, span_of
from curation.sources.source_rows import SourceKey, SourceRow, source_rows, source_table
from shards.schema import SOURCES

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MAX_PER_SHARD: Final = 64
_SHARDS_AT_FIRST: Final = 16


@dataclass(frozen=True)
class PlannedSources:
    """The sources of a DIR after the sources of a run were added."""

    table: pa.Table
    """Schema `shards.schema.SOURCES`."""
    new: int
    """Rows that were added."""
    videos_per_shard: int
    """Sources with work to do in each new shard."""
    refused: tuple[str, ...] = ()
    """Sources of this run that were removed on request, and are not added again."""

    @property
    def largest_shard(self) -> int:
        """Most sources with work to do in one shard; runs may have used different sizes."""
        sizes = Counter(row.shard for row in self.rows if row.planned_state is None)
        return max(sizes.values(), default=self.videos_per_shard)

    @property
    def rows(self) -> list[SourceRow]:
        """All rows, in order."""
        return source_rows(self.table)


def plan_sources(
    existing: pa.Table | None,
    found: Sequence[Source],
    *,
    videos_per_shard: int | Literal["auto"],
    limit: int | None = None,
    exclude: Iterable[str] = (),
    retry: Sequence[SourceRow] = (),
    removed: Collection[str] = (),
) -> PlannedSources:
    """Append new sources, and new attempts at failed ones, to the table of a DIR.

    Args:
        existing: the table so far.
        found: sources of this run; those that the table holds already are not added again.
        videos_per_shard: sources with work to do in one new shard; ``auto`` decides by the number of sources with work
            to do, old and new. The shards that are there keep their sources.
        limit: most new sources to add; sources that need no work and retries don't count.
        exclude: video ids, canonical ids (``youtube:x``), ids of the site (``x``) or sources to mark as `excluded`.
        retry: attempts that failed and are to be repeated, unless the table holds a later attempt.
        removed: ids of videos that were removed on request: sources of `found` with such an id are left out.
    """
    table = SOURCES.empty_table() if existing is None else existing.select(SOURCES.names).cast(SOURCES)
    rows = source_rows(table)
    wanted = [source for source in found if source.video_id not in removed]
    added = [*_next_attempts(rows, retry), *_new_rows(rows, wanted, frozenset(exclude), limit)]
    work = sum(row.planned_state is None for row in (*rows, *added))
    size = auto_videos_per_shard(work) if videos_per_shard == "auto" else videos_per_shard
    first = max((row.shard for row in rows), default=-1) + 1
    placed = source_table(_in_shards(added, first, size))
    refused = tuple(source.source for source in found if source.video_id in removed)
    return PlannedSources(pa.concat_tables([table, placed]), len(added), size, refused)


def auto_videos_per_shard(sources: int) -> int:
    """Return a shard size that gives a small run 16 shards, and a large one shards of 64 videos."""
    return min(max(math.ceil(sources / _SHARDS_AT_FIRST), 1), _MAX_PER_SHARD)


def _next_attempts(rows: Sequence[SourceRow], retry: Sequence[SourceRow]) -> Iterator[SourceRow]:
    asked = {(row.key, row.attempt) for row in retry}
    latest: dict[SourceKey, SourceRow] = {}
    for row in rows if asked else ():
        if row.key not in latest or row.attempt >= latest[row.key].attempt:
            latest[row.key] = row
    for key, row in latest.items():
        if (key, row.attempt) in asked:
            yield replace(row, attempt=row.attempt + 1, planned_state=None)


def _new_rows(
    rows: Sequence[SourceRow], found: Sequence[Source], exclude: frozenset[str], limit: int | None
) -> Iterator[SourceRow]:
    """Yield a row, in shard 0 for now, for each source that the table does not hold."""
    taken = {(row.video_id, span_of(row.start, row.end)) for row in rows if row.planned_state is None}
    known = {_identity(row.source, row.video_id, row.start, row.end) for row in rows if not _was_left_out(row, taken)}
    added = 0
    for source in found:
        identity = _identity(source.source, source.video_id, source.start, source.end)
        if identity in known:
            continue
        span = (source.video_id, span_of(source.start, source.end))
        planned = "excluded" if _names(source) & exclude else "duplicate" if span in taken else None
        if planned is None:
            if added == limit:
                return
            added += 1
            taken.add(span)
        known.add(identity)
        yield _first_attempt(source, planned)


def _was_left_out(row: SourceRow, taken: Collection[tuple[str, Span]]) -> bool:
    """Return True for a ``duplicate`` of earlier versions: its span only overlapped another one."""
    return row.planned_state == "duplicate" and (row.video_id, span_of(row.start, row.end)) not in taken


def _names(source: Source) -> set[str]:
    """Return all names by which a source can be excluded."""
    return {source.source, source.video_id, source.canonical, source.canonical.partition(":")[2]}


def _first_attempt(source: Source, planned: str | None) -> SourceRow:
    carried = json.dumps(source.carried, ensure_ascii=False) if source.carried else None
    return SourceRow(source.source, source.video_id, source.start, source.end, 0, 1, planned, carried)


def _in_shards(rows: Iterable[SourceRow], first: int, size: int) -> Iterator[SourceRow]:
    """Yield the rows with their shards, `size` rows with work in each; other rows join the shard before them."""
    work = 0
    for row in rows:
        work += row.planned_state is None
        yield replace(row, shard=first + max(work - 1, 0) // size)


def _identity(source: str, video: str, start: float | None, end: float | None) -> SourceKey:
    """Return what makes two lines the same source: a URL keeps its identity; a file's is the hash of its bytes."""
    return SourceKey(source, "" if _URL.match(source) else video, start, end)
