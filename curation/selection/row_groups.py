"""Row groups of a table over all shards: not one for each small shard, and not one for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

_LEAST_ROWS: Final = 16_384
"""Rows of a row group: small enough to read for one shard, large enough for few groups."""


def grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join tables to pieces of at least `_LEAST_ROWS` rows; the last may have fewer."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(one.num_rows for one in waiting) >= _LEAST_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
