"""Tombstones, ``removed.parquet``: the videos that were removed on request and are not taken again.

A tombstone holds hashes of ids. A URL is refused if the hash of its id is that of a tombstone; the hash does not tell
the URL. The rows of a removed video stay in the table of sources and in the ledger, so that all sources have a state; a
hash takes the place of the URL there (`source_alias`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from shards.artifact import Artifact
from shards.reader import read_table
from shards.schema import REMOVED, FilteredClass
from shards.storage.store import Store
from shards.writer import commit_table

REMOVED_NAME: Final = "removed.parquet"
REMOVED_CLASS: Final[FilteredClass] = "removed_on_request"
"""Class of a removed source in the ledger, and its `verdict` in the table of sources."""
_ALIAS: Final = "removed:"


@dataclass(frozen=True)
class Tombstone:
    """One removed video."""

    video_id: str
    """Sixteen hex digits, see `shards.keys`."""
    known_as: tuple[str, ...]
    """Ids that other URLs of the same video have."""
    reason: str
    removed_at: str
    """ISO 8601, UTC."""
    sources: int
    """Its rows in the table of sources."""
    clips: int

    @property
    def ids(self) -> frozenset[str]:
        """All ids of the video."""
        return frozenset((self.video_id, *self.known_as))


def read_tombstones(store: Store) -> list[Tombstone]:
    """Return the tombstones of a DIR, in the order of their removal; none if nothing was removed.

    Raises:
        ShardError: the table is unreadable.
    """
    try:
        rows = read_table(store, REMOVED_NAME, REMOVED.names).to_pylist()
    except FileNotFoundError:
        return []
    return [Tombstone(**row | {"known_as": tuple(row["known_as"])}) for row in rows]


def removed_ids(store: Store) -> frozenset[str]:
    """Return all ids of videos that are not to be taken again.

    Raises:
        ShardError: the table of tombstones is unreadable.
    """
    return frozenset(id_ for tombstone in read_tombstones(store) for id_ in tombstone.ids)


def add_tombstones(store: Store, scratch: Path, new: Iterable[Tombstone]) -> None:
    """Add the tombstones that a DIR does not hold yet; the others stay as they are."""
    present = read_tombstones(store)
    known = {tombstone.video_id for tombstone in present}
    added = [tombstone for tombstone in new if tombstone.video_id not in known]
    if added:
        rows = [asdict(tombstone) for tombstone in (*present, *added)]
        commit_table(store, scratch, REMOVED_NAME, pa.Table.from_pylist(rows, REMOVED), Artifact("remove", ""))


def source_alias(video_id: str, source: str) -> str:
    """Return the text in place of the URL or path of a removed source: other sources have other ones.

    An alias is returned as it is.
    """
    if source.startswith(f"{_ALIAS}{video_id}:"):
        return source
    return f"{_ALIAS}{video_id}:{hashlib.sha256(f'{video_id} {source}'.encode()).hexdigest()[:8]}"


def is_alias(video_id: str, source: str) -> bool:
    """Return True if a source of a removed video does not tell its URL or path any more."""
    return source_alias(video_id, source) == source
