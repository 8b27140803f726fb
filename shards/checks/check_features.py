"""Checks of the visual features of one shard against their table. Part of `shards.checks.check_dir`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from shards.storage.store import Store
from shards.stored_rows import StoredClip, StoredFeatures


def feature_problems(
    store: Store, npy: str, rows: Sequence[StoredFeatures], roots: Mapping[str, StoredClip]
) -> Iterator[str]:
    """Yield the problems of a table of features against its array's header and the root clips of its shard.

    Args:
        store: the DIR.
        npy: name of the array.
        rows: of `shards.schema.FEATURES`.
        roots: the shard's root clips by key.
    """
    keys = [row["root_key"] for row in rows]
    if sorted(keys) != sorted(roots):
        yield f"has rows for {len(set(keys))} roots ({len(keys)} rows), its shard has {len(roots)} roots"
    at = 0
    for row in rows:
        yield from (f"root {row['root_key']}: {what}" for what in _root_feature_problems(row, at))
        at += row["rows"]
    held = _rows_of(store, npy)
    if held is not None and held != at:
        yield f"counts {at} rows of features, its array holds {held}"


def _root_feature_problems(row: StoredFeatures, at: int) -> Iterator[str]:
    if row["first"] != at or row["rows"] < 0:
        yield f"its features are rows {row['first']}+{row['rows']}, they should begin at row {at}"
    if len(row["times"]) != row["rows"]:
        yield f"{len(row['times'])} times of {row['rows']} rows"
    if any(later <= earlier for earlier, later in pairwise(row["times"])):
        yield "its times do not increase"
    if (row["rows"] == 0) != (row["failed"] is not None):
        yield f"{row['rows']} rows of features, failed: {row['failed']}"


def _rows_of(store: Store, npy: str) -> int | None:
    """Return the rows of an array by its header; None if it is unreadable, which its size and hash show."""
    try:
        with store.open(npy) as file:
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
    except (FileNotFoundError, ValueError):
        return None
    return int(shape[0]) if shape else None
