"""The pairs of duplicates that a search keeps between its runs, without those of shards whose rows have moved.

Pairs name rows of the media by number, so those of a changed shard mean nothing any more. They are dropped, and the
shard counts as new: the next `curate dedup` compares it again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from curation.selection.deduplication.dedup_settings import FOLDER
from curation.selection.removal.removal_work import RemovalWork
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.writer import commit_table


def forget_pairs(work: RemovalWork) -> None:
    """Drop the pairs of the changed shards, and the work in progress of searches; may be repeated."""
    store = work.store
    hidden = [name for name in store.folders(FOLDER, hidden=True) if name.startswith(".")]
    for folder in (f"{FOLDER}/{name}" for name in hidden):
        for unfinished in store.folders(folder, hidden=True):
            store.delete_folder(f"{folder}/{unfinished}")
        for name in store.list(folder):
            _forget(work, f"{folder}/{name}")


def _forget(work: RemovalWork, name: str) -> None:
    """Drop pairs from one table; one that can't be read is deleted, as it would be made again."""
    try:
        record, pairs = read_artifact(work.store, name), read_table(work.store, name)
        moved = pa.array(work.removal.shards, pa.int32())
        dropped = pc.or_(*(pc.is_in(pairs[side], value_set=moved) for side in ("shard", "other_shard")))
    except (ShardError, KeyError):
        work.store.delete(name)
        return
    inputs = {one: digest for one, digest in record.inputs.items() if not _is_of(one, work.removal.shards)}
    if inputs == dict(record.inputs) and not pc.any(dropped).as_py():
        return
    left = pairs.filter(pc.invert(dropped))
    changed = replace(record, inputs=inputs, counts={"pairs": left.num_rows})
    commit_table(work.store, work.scratch, name, left, changed, left.schema.remove_metadata())


def _is_of(name: str, shards: Collection[int]) -> bool:
    return PurePosixPath(name).stem in {shard_name(shard) for shard in shards}
