"""The state of every source of a DIR, joined from its sources and the ledgers of committed shards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from curation.sources.source_rows import SourceKey, SourceRow, source_rows
from runtime.errors import UserError
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import media_shards, read_table
from shards.schema import LEDGER, State
from shards.sources.source_parts import SOURCES_FOLDER, SourceParts
from shards.storage.store import Store


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


def source_states(store: Store) -> list[SourceState]:
    """Return the state of each source's last attempt, in the order in which the sources were added.

    Raises:
        UserError: `store` holds no sources.
    """
    parts = SourceParts(store)
    if not parts:
        raise UserError(f"{store.root}: holds no {SOURCES_FOLDER}/; name a folder that `curate run` wrote")
    last: dict[SourceKey, SourceRow] = {}
    for row in (row for table in parts.tables() for row in source_rows(table)):
        if row.key not in last or row.attempt >= last[row.key].attempt:
            last[row.key] = row
    outcomes, lost = _outcomes(store)
    return [
        SourceState(row, *outcomes.get((row.key, row.shard, row.attempt), _pending(row, lost))) for row in last.values()
    ]


_Attempt = tuple[SourceKey, int, int]
_Outcome = tuple[State, str | None, str | None, float | None, int] | tuple[State, None, str | None]


def _pending(row: SourceRow, lost: Collection[int]) -> _Outcome:
    name = f"ledger/{shard_name(row.shard)}.parquet"
    return (
        "pending",
        None,
        f"{name} is missing or damaged; the next run makes it again" if row.shard in lost else None,
    )


def _outcomes(store: Store) -> tuple[dict[_Attempt, _Outcome], set[int]]:
    """Return the ledger by source, shard and attempt, and the shards of media whose ledger can't be read.

    A shard that is being made again does not count.
    """
    shards = media_shards(store)
    tables = {shard: _ledger(store, shard) for shard in shards}
    readable = [table for table in tables.values() if table is not None]
    table = pa.concat_tables(readable) if readable else LEDGER.empty_table()
    names = ("source", "video_id", "start", "end", "shard", "attempt", "state", "class", "message", "seconds", "clips")
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    outcomes: dict[tuple[SourceKey, int, int], _Outcome] = {
        (SourceKey(*row[:4]), row[4], row[5]): row[6:] for row in rows
    }
    return outcomes, {shard for shard, table in tables.items() if table is None}


def _ledger(store: Store, shard: int) -> pa.Table | None:
    """Return the ledger of a shard; None if it is missing or damaged."""
    try:
        return read_table(store, f"ledger/{shard_name(shard)}.parquet", LEDGER.names).select(LEDGER.names).cast(LEDGER)
    except (FileNotFoundError, ShardError, pa.ArrowException):
        return None
