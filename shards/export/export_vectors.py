"""The vectors of score sets in an export: a column for each, ``vector_<set>_<column>``, of fixed width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shards.scores.score_set import ScoreSet, score_sets
from shards.storage.store import Store


@dataclass(frozen=True)
class _VectorColumn:
    """One column of vectors."""

    name: str
    scores: ScoreSet
    column: str


class ExportVectors:
    """The vectors of a DIR's score sets, read shard by shard: samples come in the order of shards."""

    def __init__(self, store: Store) -> None:
        """Look up the columns; no vector is read.

        Raises:
            ShardError: a record of a score set is unreadable.
        """
        sets = (ScoreSet.open(store, name) for name in score_sets(store))
        self._columns = [
            _VectorColumn(f"vector_{one.name}_{column}", one, column) for one in sets for column in sorted(one.vectors)
        ]
        self._shard = -1
        self._rows: Mapping[str, Mapping[str, NDArray[np.float16]]] = {}

    @property
    def fields(self) -> list[pa.Field]:
        """Columns of a table."""
        return [
            pa.field(each.name, pa.list_(pa.float16(), each.scores.vectors[each.column].width))
            for each in self._columns
        ]

    def of_clip(self, shard: int, key: str) -> dict[str, Any]:
        """Return the vectors of a clip by column; None where it has none.

        Raises:
            ShardError: a table or its vectors are damaged.
        """
        if shard != self._shard:
            self._shard, self._rows = shard, {each.name: dict(_vectors(each, shard)) for each in self._columns}
        return {name: rows.get(key) for name, rows in self._rows.items()}


def _vectors(column: _VectorColumn, shard: int) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Yield key and vector of each clip of a shard that has one."""
    if shard not in column.scores.shards:
        return
    keys = column.scores.table(shard, [])["key"].to_pylist()
    for key, vector in zip(keys, column.scores.vector(shard, column.column), strict=True):
        if np.isfinite(vector).all():
            yield key, np.asarray(vector)
