"""Checks that videos which were removed on request are nowhere in a DIR. Part of `shards.checks.check_dir`."""

from __future__ import annotations

from collections.abc import Iterator

from shards.checks.dir_survey import Problem, digest_problems, without_name
from shards.errors import ShardError
from shards.reader import read_artifact, read_table
from shards.removal.tombstones import REMOVED_NAME, read_tombstones
from shards.removal.traces import traces
from shards.removal.unfinished import UNFINISHED
from shards.storage.store import Store


def removal_problems(store: Store) -> Iterator[Problem]:
    """Yield the problems of tombstones, an interrupted removal, and each file that holds a removed video."""
    if store.exists(UNFINISHED):
        yield Problem(UNFINISHED, f"a removal was interrupted; finish it with `curate remove {store.root}`")
    if not store.exists(REMOVED_NAME):
        return
    try:
        table, artifact = read_table(store, REMOVED_NAME), read_artifact(store, REMOVED_NAME)
        removed = read_tombstones(store)
    except (ShardError, OSError) as error:
        yield Problem(REMOVED_NAME, without_name(error, REMOVED_NAME))
        return
    yield from (Problem(REMOVED_NAME, what) for what in digest_problems(table, artifact))
    for name, what in traces(store, {tombstone.video_id for tombstone in removed}):
        yield Problem(name, what)
