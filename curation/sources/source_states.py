"""The state of every source of a DIR: its sources joined with the ledgers of committed shards, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa

from curation.sources.source_rows import SourceRow
from curation.sources.table.disk_database import DiskDatabase
from runtime.errors import UserError
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import map_ahead, media_shards, read_table
from shards.schema import LEDGER, STATES, State
from shards.sources.source_parts import SOURCES_FOLDER, SourceParts
from shards.storage.store import Store

_LEDGERS: Final = 256  # in memory at a time
_BATCH: Final = 8_192
_KEY: Final = """
md5_number(concat_ws(chr(1), source, video_id, coalesce(start, -1)::varchar, coalesce("end", -1)::varchar)) as key
"""
_TABLES: Final = """
create table attempts (
    row bigint, key uhugeint, source varchar, video_id varchar, start double, "end" double, shard integer,
    attempt integer, verdict varchar, carried varchar, overlap integer);
create table booked (
    key uhugeint, shard integer, attempt integer, state varchar, class varchar, message varchar, seconds double,
    clips bigint);
create table lost (shard integer);
"""
_ADD_ATTEMPTS: Final = f"""
insert into attempts
select row, {_KEY}, source, video_id, start, "end", shard, attempt, verdict, carried, overlap from batch
"""  # noqa: S608  constants of this file
_ADD_BOOKED: Final = f"""
insert into booked select {_KEY}, shard, attempt, state, class, message, seconds, clips from batch
"""  # noqa: S608
_STATES: Final = """
create table states as
with last as (
    select min(row) as place, max({'attempt': attempt, 'row': row}).row as row from attempts group by key),
outcomes as (select distinct on (key, shard, attempt) * from booked)
select place, last.row, coalesce(state, 'pending') as state, class, seconds, coalesce(clips, 0) as clips,
       if(lost.shard is null, message,
          printf('ledger/%07d.parquet is missing or damaged; the next run makes it again', lost.shard)) as message
from last join attempts using (row) left join outcomes using (key, shard, attempt) left join lost using (shard)
"""
_COUNTS: Final = """
select state, class, count(*), coalesce(sum(seconds), 0), sum(clips)::bigint from states group by all
order by 3 desc, min(place)
"""
_ROWS: Final = """
select source, video_id, start, "end", shard, attempt, verdict, carried, overlap, state, class, message, seconds, clips
from states join attempts using (row)
"""
_LOST: Final = """
select message from states where state = 'pending' and class is null and message is not null
group by message order by message
"""


@dataclass(frozen=True)
class SourceState:
    """The outcome of a source's last attempt."""

    row: SourceRow
    state: State
    """``pending`` until the source's shard is committed, or if the source was postponed."""
    class_: str | None = None
    """Class of the failure, or of the reason to filter it; ``postponed``; otherwise None."""
    message: str | None = None
    """One line for people."""
    seconds: float | None = None
    """Length of the span that was read, in seconds."""
    clips: int = 0


@dataclass(frozen=True)
class StateCount:
    """The sources of one state and class, by their last attempt."""

    state: State
    class_: str | None
    sources: int
    seconds: float
    clips: int


class SourceStates:
    """The states of all sources of a DIR at one time, to be counted and looked up."""

    def __init__(self, store: Store) -> None:
        """Read the sources and the ledgers.

        A shard that is being made again does not count.

        Raises:
            UserError: `store` holds no sources.
        """
        parts = SourceParts(store)
        if not parts:
            raise UserError(f"{store.root}: holds no {SOURCES_FOLDER}/; name a folder that `curate run` wrote")
        self._database = DiskDatabase(_TABLES)
        first = 0
        for table in parts.tables():
            numbers = pa.array(np.arange(first, first + table.num_rows))
            self._database.insert(_ADD_ATTEMPTS, table.append_column("row", numbers))
            first += table.num_rows
        self._add_ledgers(store)
        self._database.connection.execute(_STATES)

    def counts(self) -> list[StateCount]:
        """Return the sources by state and class, in the order of states and the largest class first."""
        counts = [StateCount(*row) for row in self._database.rows(_COUNTS)]
        order = {state: place for place, state in enumerate(STATES)}
        return sorted(counts, key=lambda count: order.get(count.state, len(order)))

    def all(self) -> Iterator[SourceState]:
        """Yield the state of each source, in the order in which the sources were added."""
        return self._read(f"{_ROWS} order by place")

    def some(self, count: StateCount, limit: int) -> list[SourceState]:
        """Return the first sources of a state and class."""
        return list(self._read(f"{_ROWS} {_where(count.state, [count.class_])} order by place limit {limit}"))

    def of_classes(self, state: State, classes: Collection[str]) -> Iterator[SourceState]:
        """Yield the sources of a state and some classes, in order."""
        return self._read(f"{_ROWS} {_where(state, sorted(classes))} order by place")

    def lost_ledgers(self) -> list[str]:
        """Return one line for each ledger that is missing or damaged, with sources whose last attempt it books."""
        return self._database.column(_LOST)

    def close(self) -> None:
        """Delete what was read."""
        self._database.close()

    def _add_ledgers(self, store: Store) -> None:
        ledgers = map_ahead(lambda shard: (shard, _ledger(store, shard)), media_shards(store))
        while batch := list(islice(ledgers, _LEDGERS)):
            tables = [table for _, table in batch if table is not None]
            self._database.insert(_ADD_BOOKED, pa.concat_tables([LEDGER.empty_table(), *tables]))
            lost = pa.table({"shard": pa.array([shard for shard, table in batch if table is None], pa.int32())})
            self._database.insert("insert into lost select shard from batch", lost)

    def _read(self, query: str) -> Iterator[SourceState]:
        for batch in self._database.connection.sql(query).to_arrow_reader(_BATCH):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield SourceState(SourceRow(*values[:9]), *values[9:])


def equation(counts: Sequence[StateCount]) -> str:
    """Return how many sources there are, as the sum of those in each state."""
    states: Counter[State] = Counter()
    for count in counts:
        states[count.state] += count.sources
    return f"{states.total()} in = {' + '.join(f'{states[state]} {state}' for state in STATES)}"


def _where(state: State, classes: Sequence[str | None]) -> str:
    """Return a condition; states and classes are words of the contract, but a damaged ledger may hold any text."""
    values = ", ".join(_quoted(class_) for class_ in classes) or "null"
    nulls = " or class is null" if None in classes else ""
    return f"where state = {_quoted(state)} and (class in ({values}){nulls})"


def _quoted(text: Any) -> str:
    return "null" if text is None else "'" + str(text).replace("'", "''") + "'"


def _ledger(store: Store, shard: int) -> pa.Table | None:
    """Return the ledger of a shard; None if it is missing or damaged."""
    try:
        return read_table(store, f"ledger/{shard_name(shard)}.parquet", LEDGER.names).select(LEDGER.names).cast(LEDGER)
    except (FileNotFoundError, ShardError, pa.ArrowException):
        return None
