"""The walk through an epoch that all sources of many tars share: windows of shards, the roots of each video apart.

The order is defined in `training.data.order.epoch_order`. The next window is loaded in a thread, and skipped
windows are not loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from training.data.order.epoch_order import round_robin, shuffled_windows, spread
from training.data.prefetch_thread import prefetch_in_thread

T = TypeVar("T")


@dataclass(frozen=True)
class WindowOrder:
    """The shards of a source, and how they are shuffled."""

    sizes: Sequence[int]
    """Number of roots in each shard."""
    window: int
    """Shards that are shuffled together."""
    seed: int
    """Seed of the run."""
    apart: bool = False
    """Spread the roots of each video over their window, and make the windows equally large; otherwise take one root of
    each video in turn."""

    def walk(
        self,
        epoch: int,
        skip: int,
        only: Callable[[int], bool] | None,
        load: Callable[[Sequence[int]], Sequence[T]],
        video_of: Callable[[T], str],
    ) -> Iterator[T]:
        """Yield the roots of an epoch in order.

        Args:
            epoch: number of the epoch.
            skip: number of roots to skip.
            only: returns True for the positions in the epoch to yield; None: all.
            load: returns the roots of the shards with the given numbers, in an order that depends on the media alone.
            video_of: returns the video of a root.
        """
        windows = shuffled_windows(len(self.sizes), self.window, self.seed, epoch, even=self.apart)
        arrange = spread if self.apart else round_robin
        ends = list(accumulate(sum(self.sizes[shard] for shard in window) for window in windows))
        wanted = [number for number, end in enumerate(ends) if end > skip]
        loaded = prefetch_in_thread(load(windows[number]) for number in wanted)
        for number, roots in zip(wanted, loaded, strict=True):
            order = arrange([video_of(root) for root in roots], self.seed, epoch, number)
            first = ends[number] - len(roots)
            for position in range(max(skip, first), ends[number]):
                if only is None or only(position):
                    yield roots[order[position - first]]
