"""Numbers the shards of new sources in their final order, a piece at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ShardPlacement:
    """The shards of the rows so far; the first one has the number 0."""

    def __init__(self, size: int) -> None:
        """Begin without rows; `size` is the number of sources with work to do in one shard."""
        self._size = size
        self._worked = 0
        self._bucket = 0  # of the last row; buckets may be left out where one video fills several
        self._position = -1
        self._shard = 0
        self._in_shard = 0
        self.largest = 0
        """Most sources with work to do in one shard."""

    @property
    def count(self) -> int:
        """Shards so far."""
        return self._shard + 1

    def of(self, positions: NDArray[np.int64], works: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the shard of each row of the next piece, [rows].

        Args:
            positions: [rows], in order; rows with work to do that share a position share a shard.
            works: [rows], False for rows without work to do, which join the shard before them.
        """
        before = self._worked + np.cumsum(works) - works
        starts = works & (np.diff(positions, prepend=self._position) != 0)
        buckets = np.maximum.accumulate(np.where(starts, before // self._size, self._bucket))
        shards = self._shard + np.cumsum(np.diff(buckets, prepend=self._bucket) > 0)
        counts = np.bincount(shards[works] - self._shard) if works.any() else np.zeros(1, int)
        counts[0] += self._in_shard
        self.largest = max(self.largest, int(counts.max()))
        self._in_shard = int(counts[-1]) if shards[-1] - self._shard == len(counts) - 1 else 0
        self._worked, self._bucket = self._worked + int(works.sum()), int(buckets[-1])
        self._position, self._shard = int(positions[-1]), int(shards[-1])
        return shards
