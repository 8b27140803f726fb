"""The state of every source of a DIR, joined from ``sources.parquet`` and the ledgers of committed shards."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from curation.sources.source_rows import SOURCES_TABLE, SourceKey, SourceRow, source_rows
from runtime.errors import UserError
from shards.keys import shard_name
from shards.reader import media_shards, read_table
from shards.schema import LEDGER, State
from shards.storage.store import Store


@dataclass(frozen=True)
class SourceState:
    """The outcome of a source's last attempt."""

    row: SourceRow
    state: State
    """``pending`` until the source's shard is committed."""
    class_: str | None = None
    """Class of the failure, or of the reason to filter it; None when it was written or is pending."""
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
    if not store.exists(SOURCES_TABLE):
        raise UserError(f"{store.root}: holds no {SOURCES_TABLE}; name a folder that `curate run` wrote")
    last: dict[SourceKey, SourceRow] = {}
    for row in source_rows(read_table(store, SOURCES_TABLE)):
        if row.key not in last or row.attempt >= last[row.key].attempt:
            last[row.key] = row
    outcomes = _outcomes(store)
    return [SourceState(row, *outcomes.get((row.key, row.shard, row.attempt), ("pending",))) for row in last.values()]


_Outcome = tuple[State, str | None, str | None, float | None, int] | tuple[State]


def _outcomes(store: Store) -> dict[tuple[SourceKey, int, int], _Outcome]:
    """Return the ledger by source, shard and attempt; a shard that is being made again does not count."""
    tables = [read_table(store, f"ledger/{shard_name(shard)}.parquet") for shard in media_shards(store)]
    table = pa.concat_tables(tables) if tables else LEDGER.empty_table()
    names = ("source", "video_id", "start", "end", "shard", "attempt", "state", "class", "message", "seconds", "clips")
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    return {(SourceKey(*row[:4]), row[4], row[5]): row[6:] for row in rows}
