"""The frame hashes of all roots of a DIR in flat arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.selection.deduplication.perceptual.frame_alignment import Hashes, Seconds
from curation.selection.deduplication.semantic.cluster_tree import Integers
from runtime.errors import UserError
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store

HASHES: Final = "frame_hashes"
TIMES: Final = "frame_hash_times"


@dataclass(frozen=True)
class RootHashes:
    """The hashes of some roots, root after root."""

    hashes: Hashes
    times: Seconds
    """Seconds from the root's start."""
    first: Integers
    """Number of the first frame of each root, and at the end the number of frames."""
    clip: Integers
    """Number of each root among all clips."""
    is_new: NDArray[np.bool_]
    """Of each root: it has not been compared yet."""

    @cached_property
    def root_of_frame(self) -> Integers:
        """For each frame the place of its root."""
        return np.repeat(np.arange(len(self.clip)), np.diff(self.first))

    def frames(self, root: int) -> tuple[Seconds, Hashes]:
        """Return times and hashes of a root."""
        low, high = int(self.first[root]), int(self.first[root + 1])
        return self.times[low:high], self.hashes[low:high]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it by name."""
        return {name: getattr(self, name) for name in ("hashes", "times", "first", "clip", "is_new")}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> RootHashes:
        """Return what `arrays` gave."""
        return cls(*(arrays[name] for name in ("hashes", "times", "first", "clip", "is_new")))


def read_root_hashes(
    store: Store, set_name: str, shards: Sequence[int], first: Integers, new: Collection[int]
) -> RootHashes:
    """Return the hashes of all roots that have some.

    Args:
        store: the DIR.
        set_name: score set with the columns `frame_hashes` and `frame_hash_times`.
        shards: those to read, in order.
        first: number of each shard's first clip.
        new: shards that have not been compared yet.

    Raises:
        UserError: the set has no hashes.
    """
    scores = open_hashes(store, set_name)
    parts = []
    for number, shard in enumerate(shards):
        table = scores.table(shard, [HASHES, TIMES])
        hashes, times = table[HASHES].combine_chunks(), table[TIMES].combine_chunks()
        lengths = np.asarray(hashes.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), np.int64)
        rows = np.flatnonzero(lengths)
        clip = rows + int(first[number])
        new_rows = np.full(len(rows), shard in new)
        parts.append((_flat(hashes, np.uint64), _flat(times, np.float64), lengths[rows], clip, new_rows))
    hashes_all, times_all, lengths_all, clips, is_new = (np.concatenate(column) for column in zip(*parts, strict=True))
    return RootHashes(hashes_all, times_all, np.cumsum(np.r_[0, lengths_all]), clips, is_new)


def open_hashes(store: Store, set_name: str) -> ScoreSet:
    """Return the score set of frame hashes.

    Raises:
        UserError: the set has no hashes.
        ShardError: there is no such set.
    """
    scores = ScoreSet.open(store, set_name)
    if scores.shards and not {HASHES, TIMES} <= set(scores.columns):
        have = ", ".join(scores.columns) or "none"
        raise UserError(
            f"--perceptual {set_name}: the score set has no {HASHES} (columns: {have}); add {HASHES} to score.scores, "
            "and run `curate run … --stages score`"
        )
    return scores


def _flat(column: pa.Array, kind: Any) -> NDArray[Any]:
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False), kind)
