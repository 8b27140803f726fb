"""The clips that an audit draws from, by SQL over the tables of a text layer: counts by kind, and the draw itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from curation.grounding.audit.clip_evidence import DrawnClip
from curation.grounding.audit.clip_strata import Cell, Stratum
from curation.view.sql_tables import arrow_of, clips_where, connect, files, select, site_sql
from shards.selections.marked_texts import find_selection
from shards.storage.store import Store

_TEXTS: Final = "read_parquet(?)"
_POPULATION: Final = f"""
create temp table population as
select key, shard, level::varchar as level, coalesce(language, 'no speech') as language,
       case when rewrite_status = 'ok' then
              case when grounding_score >= 1 then 'all claims supported'
                   when grounding_score >= 0.5 then 'half or more supported'
                   else 'less than half supported' end
            when rewrite_status = 'fallback' then 'fallback'
            else 'no text' end as band,
       {site_sql("source")} as site
from read_parquet(?)
"""  # noqa: S608  a constant of this file
_CELLS: Final = "select level, band, site, language, count(*) as clips from population group by all"
_DRAW: Final = """
select key, shard, stratum, stratum_clips from (
    select key, shard, stratum, stratum_clips, drawn,
           row_number() over (partition by stratum order by md5(? || key), key) as place
    from population join cells using (level, band, site, language))
where place <= drawn order by md5(? || key), key
"""
_STATUSES: Final = """
select level, language, count(*) as clips, count(*) filter (grounded_text is null) as without_text
from (select level::varchar as level, coalesce(language, 'none') as language, grounded_text from read_parquet(?))
group by grouping sets ((), (level), (language))
"""


@dataclass(frozen=True)
class Abstention:
    """Clips of a layer of which nothing is said; counted, not estimated."""

    group: str
    """``all``, or a level or language."""
    clips: int
    without_text: int


class Population:
    """The clips of a text layer that an audit is about."""

    def __init__(self, store: Store, layer: str, where: str | None = None) -> None:
        """Read the keys and kinds of the clips.

        Args:
            store: the DIR.
            layer: name of the text layer.
            where: condition in SQL, as of `curation.view.sql_tables.clips_where`; None: all clips.

        Raises:
            UserError: a table is damaged, or the condition is no SQL or names no column.
        """
        self._connection = connect(store)
        _select_wanted(self._connection, _POPULATION, store, layer, where)

    def cells(self) -> dict[Cell, int]:
        """Return the number of clips of each kind."""
        rows = select(self._connection, _CELLS)
        return {Cell(row["level"], row["band"], row["site"], row["language"]): row["clips"] for row in rows}

    def draw(self, strata: Sequence[Stratum], seed: int) -> list[DrawnClip]:
        """Return the clips of a sample in random order; the same seed draws the same clips."""
        table = pa.Table.from_pylist(
            [
                {**cell._asdict(), "stratum": stratum.name, "stratum_clips": stratum.clips, "drawn": stratum.drawn}
                for stratum in strata
                for cell in stratum.cells
            ]
        )
        self._connection.register("cells", table)
        rows = select(self._connection, _DRAW, [f"{seed}/draw/", f"{seed}/page/"])
        return [DrawnClip(position, **row) for position, row in enumerate(rows)]


def abstentions(store: Store, layer: str, where: str | None = None) -> list[Abstention]:
    """Return the clips without grounded text: in all, by level and by language; arguments as of `Population`.

    Raises:
        UserError: as `Population`.
    """
    rows = _select_wanted(connect(store), _STATUSES, store, layer, where)
    counted = [Abstention(_group(row["level"], row["language"]), row["clips"], row["without_text"]) for row in rows]
    return sorted(counted, key=lambda each: (each.group != "all", not each.group.startswith("level"), each.group))


def _select_wanted(
    connection: duckdb.DuckDBPyConnection, query: str, store: Store, layer: str, where: str | None
) -> list[Any]:
    """Return the rows of a query over the tables of a layer, of the clips that fulfil a condition alone."""
    if where is not None:
        wanted = clips_where(store, layer, find_selection(store, layer), where).project("key")
        connection.register("wanted", arrow_of(wanted, where))
        query = query.replace(_TEXTS, f"{_TEXTS} semi join wanted using (key)")
    return select(connection, query, [files(store, f"text/{layer}")])


def _group(level: str | None, language: str | None) -> str:
    if level is not None:
        return f"level {level}"
    return "all" if language is None else f"language {language}"
