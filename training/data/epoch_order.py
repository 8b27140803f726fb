"""The order of an epoch, and seeds for what is drawn for a root: pure functions of values.

The order depends on (seed, epoch) and on the roots of the source. What is drawn for a root (text layer, clips, crops)
depends on (seed, epoch, root). Neither depends on ranks or workers.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def seed_of(*parts: object) -> int:
    """Return a 64-bit seed made from values; equal values give equal seeds on every machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def rng_of(*parts: object) -> random.Random:
    """Return a random generator seeded with `seed_of(*parts)`."""
    return random.Random(seed_of(*parts))


def shuffled_windows(count: int, window: int, seed: int, epoch: int) -> list[list[int]]:
    """Shuffle the shard numbers 0 to `count` - 1 for an epoch, and cut them into windows of `window` shards."""
    order = np.random.default_rng([seed, epoch, 0]).permutation(count).tolist()
    return [order[begin : begin + window] for begin in range(0, count, window)]


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
    names, video = np.unique(np.asarray(videos, dtype=str), return_inverse=True)
    shuffled = rng.permutation(len(video))
    by_video = shuffled[np.argsort(video[shuffled], kind="stable")]
    counts = np.bincount(video, minlength=len(names))
    turn = np.arange(len(video)) - np.repeat(np.cumsum(counts) - counts, counts)
    return by_video[np.lexsort((rng.permutation(len(names))[video[by_video]], turn))]
