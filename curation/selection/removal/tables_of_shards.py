"""The tables that a removal may change: those of the shards that hold the videos, and those over all shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from typing import Final

from curation.selection.deduplication.dedup_settings import FOLDER as DUPLICATES
from shards.checks.check_media import file_problems
from shards.errors import ShardError
from shards.index import INDEX_NAME
from shards.keys import SHARD_DIGITS, shard_name
from shards.reader import read_artifact, read_table
from shards.removal.tombstones import REMOVED_NAME
from shards.removal.traces import ID_LENGTH, all_files
from shards.sources.source_parts import SINGLE_TABLE, SOURCES_FOLDER
from shards.storage.store import Store

_OVER_ALL_SHARDS: Final = ("selections", "duplicates", "contamination", "audit")
"""Folders at the top of a DIR whose tables are of no shard, however they are named."""
_OWN_RULES: Final = (SINGLE_TABLE, INDEX_NAME, REMOVED_NAME)
"""Tables that are rewritten in other ways."""


def affected_tables(store: Store, shards: Collection[int]) -> dict[str, str]:
    """Return the digest of each table that a removal from these shards may change, by name; "" without a record.

    Raises:
        ShardError: a table is unreadable.
    """
    found: dict[str, str] = {}
    for name in all_files(store):
        if PurePosixPath(name).suffix == ".parquet" and name not in _OWN_RULES and _may_change(name, shards):
            found[name] = _digest(store, name)
    return found


def is_of_pairs(name: str) -> bool:
    """Return True for the pairs that a search for duplicates keeps, which are deleted."""
    return name.startswith(f"{DUPLICATES}/.")


def check_intact(store: Store, shards: Iterable[int]) -> None:
    """Refuse to rewrite tars that are damaged: their new hashes would vouch for the damage.

    Raises:
        ShardError: names the first damaged file and the remedy.
    """
    for shard in shards:
        name = f"media/{shard_name(shard)}.parquet"
        if not store.exists(name):
            continue
        ledger = f"ledger/{shard_name(shard)}.parquet"
        if not store.exists(ledger):
            raise ShardError(f"{ledger}: is missing; `curate run` makes its shard again, then repeat this command")
        files = read_artifact(store, name).files
        present = {file: store.entry(file) for file in files if store.exists(file)}
        for file, what in file_problems(store, files, present):
            raise ShardError(f"{file}: {what}; delete {name} and run `curate run`, which makes the shard again")


def clip_counts(store: Store, shards: Iterable[int]) -> Counter[str]:
    """Return the clips of each video in these shards."""
    counts: Counter[str] = Counter()
    for shard in shards:
        name = f"media/{shard_name(shard)}.parquet"
        if store.exists(name):
            counts.update(key[:ID_LENGTH] for key in read_table(store, name, ["key"])["key"].to_pylist())
    return counts


def _may_change(name: str, shards: Collection[int]) -> bool:
    path = PurePosixPath(name)
    if is_of_pairs(name) or path.parts[0] == SOURCES_FOLDER:
        return False
    is_of_shard = len(path.stem) >= SHARD_DIGITS and path.stem.isdecimal() and path.parts[0] not in _OVER_ALL_SHARDS
    return not is_of_shard or int(path.stem) in shards


def _digest(store: Store, name: str) -> str:
    try:
        return read_artifact(store, name).digest
    except ShardError:
        read_table(store, name, [])  # raises if the table is unreadable, and not only without a record
        return ""
