"""The clips of a text layer as a narrow table in a scratch database, which the figures of a card are computed from.

    text/<layer>/*.parquet + selections/<name>.parquet + videos/*.parquet -> table ``clips`` of a DuckDB file

Texts are read once, for their numbers of words. Memory stays bounded: what does not fit goes to scratch. The database
can read the DIR and no other file of this machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from curation.reporting.spoken_numbers import counted
from curation.view.paper_table import words_sql
from curation.view.sql_tables import damage_reported, files, files_read_by, said, select, site_sql, video_rows
from runtime.errors import UserError
from shards.media.video_facts import with_videos
from shards.selections.marked_sql import marked_clips
from shards.selections.marked_texts import marks_itself
from shards.selections.selection import Selection
from shards.storage.store import Store

MEMORY: Final = "512MB"
"""Most that the database holds in memory."""
_CLIPS: Final = f"""
key, shard, hash(key) as id, hash(parent_key) as parent, hash(root_key) as root, hash(video_id) as video,
level::varchar as level, parent_key is null as is_root, "end" - start as seconds, nullif(language, '') as language,
rewrite_status::varchar as rewrite_status, grounding_score,
keep, filter_reason, split::varchar as split, nullif(trim(video_license), '') as licence,
{site_sql("coalesce(video_url, source)")} as site,
{words_sql("subtitle")} as subtitle_words, {words_sql("subtitle_summary")} as subtitle_summary_words,
{words_sql("caption")} as caption_words, {words_sql("caption_summary")} as caption_summary_words,
{words_sql("grounded_text")} as grounded_words
"""
_KEPT: Final = """
create table kept as
select c.*, not coalesce(p.is_kept, false) and not coalesce(g.is_kept, false) as is_top
from clips c left join clips p on c.parent = p.id left join clips g on p.parent = g.id
where c.is_kept
"""
"""The kept clips; those on top are in no other kept clip, so that their seconds count each second once."""


@dataclass(frozen=True)
class Share:
    """A part of the clips, and its size."""

    name: str | None
    """None: not known."""
    clips: int
    hours: float
    """Hours of video; a second that is in clips of several levels counts once."""
    videos: int


@dataclass(frozen=True)
class CardTables:
    """The tables of a DIR that a card is about, open for queries."""

    store: Store
    layer: str
    selection: Selection | None
    connection: duckdb.DuckDBPyConnection
    """Has the tables ``clips`` and ``kept``: all clips are kept while no selection marks them."""
    is_marked: bool
    """True if the clips have marks: of a selection, or their own."""

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[Any]:
        """Return the rows of a query, each a dictionary by column.

        Raises:
            UserError: a table is damaged.
        """
        return select(self.connection, query, parameters)

    def shares(self, column: str, limit: int) -> tuple[Share, ...]:
        """Return the kept clips by the values of a column, the largest part first; parts beyond `limit` are one."""
        query = f"""
        with parts as (
            select {column} as name, count(*) as clips, coalesce(sum(seconds) filter (is_top), 0) / 3600 as hours,
                   count(distinct video) as videos
            from kept group by 1),
        placed as (select *, row_number() over (order by clips desc, name nulls last) as place from parts)
        select if(place <= {limit}, name, null) as name, count(*) as values, sum(clips)::bigint as clips,
               sum(hours) as hours, sum(videos)::bigint as videos, min(place) as first, place > {limit} as is_rest
        from placed group by 1, 7 order by first
        """  # noqa: S608  the names of columns are those of this package
        return tuple(
            Share(
                counted(row["values"], "other") if row["is_rest"] else row["name"],
                row["clips"],
                row["hours"],
                row["videos"],
            )
            for row in self.rows(query)
        )


@contextmanager
def card_tables(store: Store, layer: str, selection: Selection | None) -> Iterator[CardTables]:
    """Give the tables of a layer; the scratch database is removed afterwards.

    Raises:
        ShardError: a table is damaged, or lacks columns.
        UserError: a value of a table can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="card-") as scratch, _database(store, Path(scratch)) as connection:
        is_marked = selection is not None or marks_itself(store, layer)
        with damage_reported(store, f"text/{layer}"):
            _make_clips(connection, store, layer, selection, is_marked)
        yield CardTables(store, layer, selection, connection, is_marked)


@contextmanager
def _database(store: Store, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    config = {
        "memory_limit": MEMORY,
        "temp_directory": str(scratch / "spilled"),
        "autoinstall_known_extensions": "false",
        "preserve_insertion_order": "false",
    }
    with duckdb.connect(str(scratch / "card.duckdb"), config=config) as connection:
        files_read_by(connection, store)
        yield connection


def _make_clips(
    connection: duckdb.DuckDBPyConnection, store: Store, layer: str, selection: Selection | None, is_marked: bool
) -> None:
    clips = marked_clips(connection, files(store, f"text/{layer}"), selection)
    clips = with_videos(clips, video_rows(connection, store)).project(_CLIPS)
    kept = "coalesce(keep, false)" if is_marked else "true"
    try:
        clips.project(f"*, {kept} as is_kept").create("clips")
    except duckdb.InvalidInputException as error:
        raise UserError(f"text/{layer}: a value can't be read: {said(error)}") from None
    connection.execute(_KEPT)
