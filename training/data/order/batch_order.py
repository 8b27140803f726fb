"""The roots of each step and rank: the one rule of order that all batches of clips follow.

A global batch is `global_batch / clips_per_root` consecutive roots of the epoch; rank r takes the r-th of `world_size`
equal runs of them. A position is a step: the stream can start at any step.

With frames by duration, the batch has the same roots. They are sorted by their number of frames and dealt to the ranks
like cards, so that each rank has as many clips of each length. Every rank then draws the clips of all ranks: their
durations decide the buckets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

from runtime.errors import UserError
from training.data.clip_source import ClipSource
from training.data.clip_tasks import ClipTask, RootTask
from training.data.order.frame_buckets import FrameBuckets


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

    def __init__(
        self,
        source: ClipSource,
        global_batch: int,
        clips_per_root: int,
        ranks: Ranked,
        buckets: FrameBuckets | None = None,
    ) -> None:
        """Divide the global batch into roots and ranks.

        Args:
            source: of the roots.
            global_batch: clips in a step, over all ranks.
            clips_per_root: number of clips in each root of the source.
            ranks: rank and world size of this process.
            buckets: frames by duration; None: tasks do not say how many frames a clip has.

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
        self._source, self._ranks, self._clips_per_root = source, ranks, clips_per_root
        self._buckets = buckets

    @property
    def steps_per_epoch(self) -> int:
        """Global steps in an epoch; the last one is filled up with empty roots."""
        return math.ceil(self._source.num_roots / self.roots)

    def tasks(self, step: int) -> Iterator[RootTask]:
        """Yield this rank's roots from a global step on, epoch after epoch without end; each step has `own` roots."""
        if self._buckets is None:
            yield from self._walk(step, lambda position: position % self.roots // self.own == self._ranks.rank)
            return
        whole = self._walk(step, None)
        while True:
            yield from self._dealt(list(islice(whole, self.roots)), self._buckets)

    def _walk(self, step: int, mine: Callable[[int], bool] | None) -> Iterator[RootTask]:
        """Yield the roots of this rank, or of all ranks, from a global step on."""
        a_step = self.roots if mine is None else self.own
        while True:
            epoch, done = divmod(step, self.steps_per_epoch)
            left = a_step * (self.steps_per_epoch - done)
            for task in self._source.epoch(epoch, done * self.roots, mine):
                yield task
                left -= 1
            for _ in range(left):
                yield RootTask.empty(self._source.terms, self._clips_per_root)
            step += self.steps_per_epoch - done

    def _dealt(self, roots: Sequence[RootTask], buckets: FrameBuckets) -> list[RootTask]:
        """Return this rank's roots of a global batch, by increasing number of frames, with the frames of each clip."""
        frames = iter(buckets.plan([clip.seconds for root in roots for clip in root.clips]))
        lengths = [[next(frames) for _ in root.clips] for root in roots]
        order = sorted(range(len(roots)), key=lambda number: sum(lengths[number]))
        return [
            replace(roots[number], clips=_with_frames(roots[number].clips, lengths[number]))
            for number in order[self._ranks.rank :: self._ranks.world_size]
        ]


def _with_frames(clips: Sequence[ClipTask], lengths: Sequence[int]) -> tuple[ClipTask, ...]:
    return tuple(replace(clip, frames=length) for clip, length in zip(clips, lengths, strict=True))
