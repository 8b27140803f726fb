"""Whether the visual features of one shard are what their table says: part of `shards.checks.check_dir`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from shards.checks.check_rows import Row
from shards.storage.store import Store


def feature_problems(store: Store, npy: str, rows: Sequence[Row], roots: Mapping[str, Row]) -> Iterator[str]:
    """What is wrong with a table of features against its array's head and the root clips of its shard (by key).

    Args:
        store: the DIR.
        npy: name of the array.
        rows: of `shards.schema.FEATURES`.
        roots: rows of `shards.schema.CLIPS`.
    """
    keys = [row["root_key"] for row in rows]
    if sorted(keys) != sorted(roots):
        yield f"has rows for {len(set(keys))} roots ({len(keys)} rows), its shard has {len(roots)} roots"
    at = 0
    for row in rows:
        yield from (f"root {row['root_key']}: {what}" for what in _root_problems(row, at))
        at += row["rows"]
    held = _rows_of(store, npy)
    if held is not None and held != at:
        yield f"counts {at} rows of features, its array holds {held}"


def _root_problems(row: Row, at: int) -> Iterator[str]:
    if row["first"] != at or row["rows"] < 0:
        yield f"its features are rows {row['first']}+{row['rows']}, they should begin at {at}"
    if len(row["times"]) != row["rows"]:
        yield f"{len(row['times'])} times of {row['rows']} rows"
    if any(later <= earlier for earlier, later in pairwise(row["times"])):
        yield "its times do not increase"
    if (row["rows"] == 0) != (row["failed"] is not None):
        yield f"{row['rows']} rows of features, failed: {row['failed']}"


def _rows_of(store: Store, npy: str) -> int | None:
    """Rows of an array by its head; None where there is no readable one, which its size and hash tell."""
    try:
        with store.open(npy) as file:
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
    except (FileNotFoundError, ValueError):
        return None
    return int(shape[0]) if shape else None
