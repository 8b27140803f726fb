"""The sources of a card: by state and class, and by site. No URL, path or message is read out of the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curation.view.card.facts.card_tables import CardTables
from curation.view.sql_tables import damage_reported, files, site_sql
from shards.keys import shard_name
from shards.reader import media_shards
from shards.schema import LEDGER, STATES, State
from shards.sources.source_parts import SourceParts

SITES: Final = 15
"""Sites that are named; the others are one row."""
_LAST: Final = f"""
create temp table last_attempts as
with attempts as (
    select * from read_parquet(?, file_row_number = true)
    qualify row_number() over (
        partition by source, video_id, start, "end" order by attempt desc, shard desc, file_row_number desc) = 1)
select a.video_id, {site_sql("a.source")} as site, l.state::varchar as state, l.class as class, l.seconds, l.clips
from attempts a left join ledger l on l.source = a.source and l.video_id = a.video_id
     and l.start is not distinct from a.start and l."end" is not distinct from a."end"
     and l.shard = a.shard and l.attempt = a.attempt
"""  # noqa: S608  a constant of another file
_OUTCOMES: Final = """
select coalesce(state, 'pending') as state, class as class_, count(*) as sources,
       coalesce(sum(seconds), 0) / 3600 as hours, coalesce(sum(clips), 0)::bigint as clips
from last_attempts group by 1, 2 order by sources desc, class_
"""
_SITES: Final = f"""
with sites as (
    select site, count(*) as sources, count(*) filter (state = 'written') as written,
           coalesce(sum(seconds) filter (state = 'written'), 0) / 3600 as hours
    from last_attempts where class is distinct from 'removed_on_request' group by 1),
placed as (select *, row_number() over (order by sources desc, site) as place from sites)
select if(place <= {SITES}, site, null) as site, sum(sources)::bigint as sources, sum(written)::bigint as written,
       sum(hours) as hours, count(*) as sites, min(place) as first
from placed group by 1 order by first
"""  # noqa: S608  a constant of this file


@dataclass(frozen=True)
class OutcomeCount:
    """The sources of one state and class, by their last attempt."""

    state: State
    class_: str | None
    sources: int
    hours: float
    clips: int


@dataclass(frozen=True)
class SiteCount:
    """The sources of one site; sources that were removed on request are left out."""

    site: str | None
    """Host; ``files`` for local files; None: all sites that are not named."""
    sources: int
    written: int
    hours: float
    """Hours of the written ones."""
    sites: int
    """Sites in this row: 1 for a named one."""


@dataclass(frozen=True)
class SourceFacts:
    """The sources of a DIR."""

    outcomes: tuple[OutcomeCount, ...]
    sites: tuple[SiteCount, ...]

    @property
    def total(self) -> int:
        """All sources."""
        return sum(outcome.sources for outcome in self.outcomes)


def source_facts(tables: CardTables) -> SourceFacts | None:
    """Return the figures of the sources; None if the DIR holds no table of sources.

    Raises:
        UserError: a table is damaged.
    """
    store = tables.store
    sources = SourceParts(store).names
    if not sources:
        return None
    there = set(files(store, "ledger"))
    named = [store.path(f"ledger/{shard_name(shard)}.parquet") for shard in media_shards(store)]
    ledgers = [name for name in named if name in there]
    with damage_reported(store, "ledger"):
        read = tables.connection.read_parquet(ledgers) if ledgers else None
        (read or tables.connection.from_arrow(LEDGER.empty_table())).create("ledger")
    tables.rows(_LAST, [[store.path(name) for name in sources]])
    order = {state: place for place, state in enumerate(STATES)}
    outcomes = sorted((OutcomeCount(**row) for row in tables.rows(_OUTCOMES)), key=lambda each: order[each.state])
    sites = ({name: value for name, value in row.items() if name != "first"} for row in tables.rows(_SITES))
    return SourceFacts(tuple(outcomes), tuple(SiteCount(**row) for row in sites))
