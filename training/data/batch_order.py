"""The roots of each step and rank: the one rule of order that all batches of clips follow.

A global batch is `global_batch / clips_per_root` consecutive roots of the epoch; rank r takes the r-th of `world_size`
equal runs of them. A position is a step: the stream can start at any step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

from runtime.errors import UserError
from training.data.clip_source import ClipSource
from training.data.clip_tasks import RootTask


class Ranked(Protocol):
    """The position of this process among the ranks."""

    @property
    def rank(self) -> int:
        """From 0."""
        ...

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        ...


class RootOrder:
    """One rank's roots, step after step."""

    def __init__(self, source: ClipSource, global_batch: int, clips_per_root: int, ranks: Ranked) -> None:
        """Divide the global batch into roots and ranks.

        Args:
            source: of the roots.
            global_batch: clips in a step, over all ranks.
            clips_per_root: number of clips in each root of the source.
            ranks: rank and world size of this process.

        Raises:
            UserError: the batch can't be divided, or the source has fewer roots than a batch needs.
        """
        if global_batch < 1 or global_batch % (clips_per_root * ranks.world_size):
            raise UserError(
                f"--batch-size {global_batch}: must be a multiple of data.clips_per_root={clips_per_root} times "
                f"{ranks.world_size} ranks"
            )
        self.roots: int = global_batch // clips_per_root
        """Roots in a step, over all ranks."""
        if source.num_roots < self.roots:
            raise UserError(
                f"--batch-size {global_batch}: takes {self.roots} roots a step, but there are only {source.num_roots} "
                f"to train on; lower it to {source.num_roots * clips_per_root} or less, or add shards"
            )
        self.own: int = self.roots // ranks.world_size
        """Roots in a step, of this rank."""
        self._source, self._rank, self._clips_per_root = source, ranks.rank, clips_per_root

    @property
    def steps_per_epoch(self) -> int:
        """Global steps in an epoch; the last one is filled up with empty roots."""
        return math.ceil(self._source.num_roots / self.roots)

    def tasks(self, step: int) -> Iterator[RootTask]:
        """Yield this rank's roots from a global step on, epoch after epoch without end; each step has `own` roots."""

        def mine(position: int) -> bool:
            return position % self.roots // self.own == self._rank

        while True:
            epoch, done = divmod(step, self.steps_per_epoch)
            left = self.own * (self.steps_per_epoch - done)
            for task in self._source.epoch(epoch, done * self.roots, mine):
                yield task
                left -= 1
            for _ in range(left):
                yield RootTask.empty(self._source.terms, self._clips_per_root)
            step += self.steps_per_epoch - done
