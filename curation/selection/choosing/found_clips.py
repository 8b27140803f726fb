"""Clips that are in tables of findings, shard by shard: matches with benchmarks, and groups of duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.selection.choosing.limits import Mask, one_of_each
from shards.errors import ShardError
from shards.selections.findings import Findings

CONTAMINATED: Final = "contaminated:"
"""Beginning of the reason of a clip that matches a benchmark; the benchmark's name follows."""


class BenchmarkMatches:
    """The benchmark that each clip of some tables of contamination matches."""

    def __init__(self, tables: Sequence[Findings]) -> None:
        rows = pa.concat_tables([table.rows().select(["key", "shard", "benchmark"]) for table in tables])
        names = sorted(pc.unique(rows["benchmark"]).to_pylist())
        numbers = pc.index_in(rows["benchmark"], value_set=pa.array(names, pa.string()))
        self.reasons = [CONTAMINATED + name for name in names]
        """The reasons, in alphabetical order: a clip that matches several benchmarks has the first."""
        self._rows = rows.select(["key", "shard"]).append_column("number", numbers)

    def numbers(self, shard: int, keys: pa.ChunkedArray) -> NDArray[np.int32]:
        """Return the number of the reason of each clip of a shard; -1 for one without a match."""
        rows = self._rows.filter(pc.equal(self._rows["shard"], shard))
        first = rows.group_by("key").aggregate([("number", "min")])
        places = pc.index_in(keys, value_set=first["key"].combine_chunks())
        return pc.fill_null(first["number_min"].take(places), -1).to_numpy().astype(np.int32)


class DuplicateGroups:
    """The groups of a table of duplicates, and the places of their clips among all clips that are chosen from.

    Of a group, the clip that the table keeps comes first, then the others by falling score.
    """

    def __init__(self, table: Findings) -> None:
        self._file = table.file
        rows = table.rows()
        order = [("keep", "descending"), ("score", "descending"), ("key", "ascending")]
        rows = rows.select(["key", "shard", "group", "keep", "score"]).sort_by(order)
        groups = pc.dictionary_encode(rows["group"]).combine_chunks()
        self._rows = (
            rows.select(["key", "shard"])
            .append_column("group", groups.indices.cast(pa.int64()))
            .append_column("order", pa.array(np.arange(rows.num_rows)))
        )
        self._found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []

    def add(self, shard: int, keys: pa.ChunkedArray, offset: int) -> None:
        """Look up the clips of a shard.

        Args:
            shard: its number.
            keys: keys of its clips.
            offset: place of its first clip among all.

        Raises:
            ShardError: the table names a clip of the shard that isn't there.
        """
        rows = self._rows.filter(pc.equal(self._rows["shard"], shard))
        places = pc.index_in(rows["key"], value_set=keys.combine_chunks())
        if places.null_count:
            raise ShardError(
                f"{self._file}: names {places.null_count} clips that are not in shard {shard}; make it again"
            )
        found = places.to_numpy().astype(np.int64) + offset
        self._found.append((found, rows["group"].to_numpy(), rows["order"].to_numpy()))

    def without_repeats(self, among_N: Mask) -> Mask:
        """Return the mask of the clips among some that do not repeat another one among them."""
        if not self._found:
            return among_N
        places, groups, order = (np.concatenate(arrays) for arrays in zip(*self._found, strict=True))
        return one_of_each(places, groups, order, among_N)
