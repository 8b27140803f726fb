"""The order of an epoch, and seeds for what is drawn for a root: pure functions of values.

The order depends on (seed, epoch) and on the roots of the source. What is drawn for a root (text layer, clips, crops)
depends on (seed, epoch, root). Neither depends on ranks or workers.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def seed_of(*parts: object) -> int:
    """Return a 64-bit seed made from values; equal values give equal seeds on every machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def rng_of(*parts: object) -> random.Random:
    """Return a random generator seeded with `seed_of(*parts)`."""
    return random.Random(seed_of(*parts))


def shuffled_windows(count: int, window: int, seed: int, epoch: int, *, even: bool = False) -> list[list[int]]:
    """Shuffle the shard numbers 0 to `count` - 1 for an epoch, and cut them into windows of `window` shards.

    Args:
        count: number of shards.
        window: shards in a window; the last window has what is left.
        seed: seed of the run.
        epoch: number of the epoch.
        even: let windows differ by one shard at most; each then has `window` shards or more, if there are so many.
    """
    order = np.random.default_rng([seed, epoch, 0]).permutation(count)
    if even and count:
        return [part.tolist() for part in np.array_split(order, max(1, count // window))]
    return [order[begin : begin + window].tolist() for begin in range(0, count, window)]


def shards_a_window(videos: Sequence[int], roots_a_batch: int, batches: float, least: int) -> int:
    """Return how many shards a window takes to hold `batches` batches' worth of different videos.

    Args:
        videos: number of videos in each shard.
        roots_a_batch: roots in a global batch.
        batches: as of `DataSettings.window_batches`.
        least: fewest shards of a window.
    """
    a_shard = sum(videos) / max(1, len(videos))
    return max(least, math.ceil(batches * roots_a_batch / a_shard)) if a_shard else least


def round_robin(videos: Sequence[str], seed: int, epoch: int, window: int) -> NDArray[np.int64]:
    """Order the roots of a window so that one root of each video is visited in turn; videos and roots are shuffled.

    Args:
        videos: the video of each root, in an order that depends on the media alone.
        seed: seed of the run.
        epoch: number of the epoch.
        window: number of the window in the epoch.

    Returns:
        Numbers of the roots, in the order of visiting.
    """
    rng = np.random.default_rng([seed, epoch, 1, window])
    roots = _shuffled_by_video(videos, rng)
    return roots.number[np.lexsort((rng.permutation(len(roots.counts))[roots.video], roots.turn))]


def spread(videos: Sequence[str], seed: int, epoch: int, window: int) -> NDArray[np.int64]:
    """Order the roots of a window so that those of each video are equally far apart; videos and roots are shuffled.

    A run of roots that is one n-th of the window has at most one root of a video that has n roots or fewer, and never
    more than ``ceil(count / n) + 1`` of one that has `count`. (In turns, the last turns are left to the longest videos
    alone.)

    Args:
        videos: as of `round_robin`.
        seed: seed of the run.
        epoch: number of the epoch.
        window: number of the window in the epoch.

    Returns:
        Numbers of the roots, in the order of visiting.
    """
    rng = np.random.default_rng([seed, epoch, 1, window])
    roots = _shuffled_by_video(videos, rng)
    place = (roots.turn + rng.random(len(roots.counts))[roots.video]) / roots.counts[roots.video]
    return roots.number[np.argsort(place, kind="stable")]


class _RootsByVideo(NamedTuple):
    """The roots of a window, video after video, those of one video in random order."""

    number: NDArray[np.int64]
    """Number of each root in the window."""
    video: NDArray[np.int64]
    """Number of its video."""
    turn: NDArray[np.int64]
    """Place of the root among those of its video."""
    counts: NDArray[np.int64]
    """Roots of each video."""


def _shuffled_by_video(videos: Sequence[str], rng: np.random.Generator) -> _RootsByVideo:
    names, video = np.unique(np.asarray(videos, dtype=str), return_inverse=True)
    shuffled = rng.permutation(len(video))
    number = shuffled[np.argsort(video[shuffled], kind="stable")]
    counts = np.bincount(video, minlength=len(names))
    turn = np.arange(len(video)) - np.repeat(np.cumsum(counts) - counts, counts)
    return _RootsByVideo(number, video[number], turn, counts)
