"""Groups of duplicates, from ``duplicates/<name>.parquet``: the clip that stays, and those that go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curation.view.browser.queries.clip_tables import ClipTables
from shards.storage.store import Store

GROUPS: Final = 10
"""Groups on a page."""
_MOST_CLIPS: Final = 12
"""Clips of a group that are shown."""
_CLIPS: Final = f"""
with dup as (select key, "group", kind::varchar as kind, score, keep as stays from read_parquet($file)),
     groups as (
       select "group", count(*) as size from dup group by 1 order by size desc, 1 limit {GROUPS} offset $first),
     shown as (
       select size, "group" as in_group, kind, score, stays,
              clips.key, root_key, shard, start, "end", seconds, level, source,
              row_number() over (partition by "group" order by stays desc, score desc nulls last, clips.key) as place
       from groups join dup using ("group") join clips on clips.key = dup.key)
select * from shown where place <= {_MOST_CLIPS} order by size desc, in_group, place
"""  # noqa: S608  constants


@dataclass(frozen=True)
class DuplicateGroup:
    """Clips that are copies of one another."""

    size: int
    """Clips of the group, those that are not shown included."""
    clips: Sequence[Mapping[str, Any]]
    """The one that stays first; at most twelve."""


def duplicate_tables(store: Store) -> list[str]:
    """Return the names of the tables of duplicates of a DIR, sorted."""
    return sorted(name.removesuffix(".parquet") for name in store.list("duplicates") if name.endswith(".parquet"))


def count_groups(tables: ClipTables, name: str) -> int:
    """Return the number of groups of a table.

    Raises:
        UserError: the table is damaged.
    """
    query = 'select count(distinct "group") as groups from read_parquet($file)'
    (row,) = tables.select(query, {"file": _file(tables, name)})
    return int(row["groups"])


def duplicate_groups(tables: ClipTables, name: str, page: int) -> list[DuplicateGroup]:
    """Return the groups of one page (from 1), the largest first.

    Raises:
        UserError: the table is damaged.
    """
    rows = tables.select(_CLIPS, {"file": _file(tables, name), "first": (page - 1) * GROUPS})
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["in_group"], []).append(row)
    return [DuplicateGroup(clips[0]["size"], clips) for clips in groups.values()]


def _file(tables: ClipTables, name: str) -> str:
    return tables.store.path(f"duplicates/{name}.parquet")
