"""Pages of clips, their counts and hours, and histograms of their numbers, for some filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curation.view.browser.queries.clip_filters import ALL, ClipFilters
from curation.view.browser.queries.clip_tables import TEXTS, ClipTables, RangeColumn, quoted
from shards.keys import shard_name

BINS: Final = 24
PAGE: Final = 24
"""Clips on a page."""
_SHOWN: Final = (
    'key, root_key, shard, level, start, "end", seconds, source, language, rewrite_status, keep, filter_reason'
)


@dataclass(frozen=True)
class Totals:
    """How many clips and videos match, and how long they are together."""

    clips: int
    videos: int
    hours: float
    """Of the clips that match and are in no other clip that matches: time that several levels share counts once."""


@dataclass(frozen=True)
class Histogram:
    """Counts of one column of numbers, in bins of equal width."""

    column: RangeColumn
    counts: Sequence[int]
    missing: int
    """Clips without a value."""


@dataclass(frozen=True)
class Choices:
    """Values to choose from, with the clips that have them, most first."""

    languages: Sequence[tuple[str, int]]
    reasons: Sequence[tuple[str, int]]


def totals(tables: ClipTables, filters: ClipFilters) -> Totals:
    """Return how much matches."""
    where, values = filters.where(tables)
    inner = "not is_root and (root in (from ids) or parent in (from ids))"
    query = f"""
        with matching as (select id, parent, root, is_root, video, seconds from clips where {where}),
             ids as (select id from matching)
        select count(*) as clips, count(distinct video) as videos,
               coalesce(sum(seconds) filter (not ({inner})), 0) / 3600 as hours from matching
    """  # noqa: S608  conditions of `ClipFilters`
    if where == ALL:  # a clip that is no root is inside one, which matches
        query = """
            select count(*) as clips, count(distinct video) as videos,
                   coalesce(sum(seconds) filter (is_root), 0) / 3600 as hours from clips
        """
    (row,) = tables.select_once(query, values)
    return Totals(**row)


def page_of_clips(tables: ClipTables, filters: ClipFilters, size: int = PAGE) -> list[dict[str, Any]]:
    """Return the clips of one page, each with ``text``: the first of its texts that there is."""
    rows = _slice(tables, filters, (filters.page - 1) * size, size)
    texts = texts_of(tables, [(row["shard"], row["key"]) for row in rows])
    return [row | {"text": texts.get(row["key"], "")} for row in rows]


def clips_by_key(tables: ClipTables, scores: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the clips of some keys in their order, each with ``text`` and ``score``; keys of no clip are left out."""
    found = tables.select(f"select {_SHOWN} from clips where list_contains($keys, key)", {"keys": list(scores)})  # noqa: S608
    rows = {row["key"]: row for row in found}
    texts = texts_of(tables, [(row["shard"], row["key"]) for row in found])
    return [rows[key] | {"text": texts.get(key, ""), "score": score} for key, score in scores.items() if key in rows]


def texts_of(tables: ClipTables, clips: Sequence[tuple[int, str]]) -> dict[str, str]:
    """Return the first text that there is of some clips, by key.

    Args:
        tables: the clips.
        clips: shard and key of each.
    """
    shards = sorted({shard for shard, _ in clips})
    paths = [tables.store.path(f"text/{tables.layer}/{shard_name(shard)}.parquet") for shard in shards]
    if not paths:
        return {}
    first = ", ".join(f"nullif({column}, '')" for column in TEXTS)
    rows = tables.select(
        f"select key, coalesce({first}, '') as text from read_parquet($paths) where list_contains($keys, key)",  # noqa: S608
        {"paths": paths, "keys": [key for _, key in clips]},
    )
    return {row["key"]: row["text"] for row in rows}


def neighbours(tables: ClipTables, filters: ClipFilters, place: int) -> tuple[str | None, str | None]:
    """Return the keys before and after a place (from 0) in the order of the filters."""
    first = max(place - 1, 0)
    rows = _slice(tables, filters, first, place + 2 - first)
    keys = [row["key"] for row in rows]
    before = keys[0] if place > 0 and keys else None
    here = place - first
    return before, keys[here + 1] if len(keys) > here + 1 else None


def histograms(tables: ClipTables, filters: ClipFilters) -> list[Histogram]:
    """Return the histogram of each column of numbers over the clips that match, in one pass."""
    ranges = [each for each in tables.ranges if each.high > each.low]
    if not ranges:
        return []
    where, values = filters.where(tables)
    parts = []
    for number, each in enumerate(ranges):
        width = (each.high - each.low) / BINS
        bin_ = f"least({BINS - 1}, floor(({quoted(each.name)} - {each.low!r}) / {width!r}))::int"
        parts.append(f"histogram({bin_}) as bins{number}, count(*) - count({quoted(each.name)}) as missing{number}")
    (row,) = tables.select_once(f"select {', '.join(parts)} from clips where {where}", values)  # noqa: S608  quoted names
    return [
        Histogram(each, [dict(row[f"bins{n}"] or {}).get(bin_, 0) for bin_ in range(BINS)], row[f"missing{n}"])
        for n, each in enumerate(ranges)
    ]


def choices(tables: ClipTables) -> Choices:
    """Return the languages and reasons that clips have."""
    found = []
    for column in ("language", "filter_reason"):
        rows = tables.select_once(
            f"select {column} as value, count(*) as clips from clips where {column} is not null "  # noqa: S608
            "group by 1 order by 2 desc, 1 limit 60"
        )
        found.append([(row["value"], row["clips"]) for row in rows])
    return Choices(*found)


def clip_row(tables: ClipTables, key: str) -> dict[str, Any] | None:
    """Return the facts of one clip; None if there is no such clip."""
    rows = tables.select("select * from clips where key = $key limit 1", {"key": key})
    return rows[0] if rows else None


def _slice(tables: ClipTables, filters: ClipFilters, first: int, count: int) -> list[dict[str, Any]]:
    where, values = filters.where(tables)
    order, more = filters.order(tables.ranges)
    return tables.select(
        f"select {_SHOWN} from clips where place in (select place from clips where {where} "  # noqa: S608  quoted
        f"order by {order} limit {count} offset {first}) order by {order}",
        values | more,
    )
