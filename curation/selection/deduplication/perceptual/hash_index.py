"""Candidate pairs of videos from the hashes of their frames: no pair of videos is compared unless some hashes collide.

Each of `TABLES` tables looks at another random subset of a hash's bits. The subsets are as long as the number of hashes
asks for, so that hashes of different pictures rarely collide, and building a table is one sort: n log n. Buckets that
many videos share (black, an intro) count little, and their pairs are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.selection.deduplication.perceptual.frame_alignment import BITS, Hashes
from curation.selection.deduplication.semantic.cluster_tree import Floats, Integers

TABLES: Final = 24
_LEAST_BITS: Final = 12
_SPARE_BITS: Final = 4
"""Bits beyond the logarithm of the number of hashes: different pictures collide in one table of sixteen."""
_MOST_BITS: Final = 30
_WINDOW: Final = 24
"""Entries of a bucket that each entry is paired with."""
_HUBS: Final = 4
"""First entries of a larger bucket that each of its entries is paired with: the videos of the best rank."""
LEAST_COLLISIONS: Final = 2
PARTNERS: Final = 48
"""Candidates of each video that are kept: those with most weight."""


class Candidates(NamedTuple):
    """Pairs of videos to compare, one element a pair."""

    one: Integers
    other: Integers
    is_mirrored: NDArray[np.bool_]
    """The hashes of `one` are to be mirrored."""


class _Votes(NamedTuple):
    pair: Integers
    collisions: Integers
    weight: Floats


def candidate_pairs(
    hashes: Hashes, mirrored: Hashes, video_N: Integers, is_new: NDArray[np.bool_], seed: int = 0
) -> Candidates:
    """Return the pairs of videos that are worth an alignment, at least one of them new.

    Args:
        hashes: of the frames of all videos.
        mirrored: of the same frames, mirrored.
        video_N: number of each frame's video; videos are numbered by rank, the best first.
        is_new: for each video, by its number.
        seed: of the subsets of bits.
    """
    asks = is_new[video_N]  # a mirrored pair is seen if one side is mirrored, and that side may be the new one
    every = np.concatenate([hashes, mirrored[asks]])
    video = np.concatenate([video_N, video_N[asks]])
    side = np.concatenate([np.zeros(len(hashes), np.int64), np.ones(int(asks.sum()), np.int64)])
    videos = len(is_new)
    rng = np.random.default_rng(seed)
    bits = int(np.clip(np.ceil(np.log2(max(len(every), 2))) + _SPARE_BITS, _LEAST_BITS, _MOST_BITS))
    votes = _no_votes()
    for _ in range(TABLES):
        keys = subset_of_bits(every, rng.choice(BITS, bits, replace=False))
        votes = _sum([votes, *_collisions(keys, video * 2 + side, is_new)])
    return _strongest(votes, videos)


def subset_of_bits(hashes: Hashes, bits: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the numbers made of the given bits of each hash."""
    keys = np.zeros(len(hashes), np.uint32)
    for place, bit in enumerate(bits.tolist()):
        keys |= ((hashes >> np.uint64(bit)) & np.uint64(1)).astype(np.uint32) << np.uint32(place)
    return keys


def _no_votes() -> _Votes:
    return _Votes(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def _collisions(keys: NDArray[np.uint32], entry: Integers, is_new: NDArray[np.bool_]) -> Iterator[_Votes]:
    """Yield the votes of one table. An entry is a video and a side, and is in a bucket once."""
    order = np.lexsort((entry, keys))
    keys, entry = keys[order], entry[order]
    first_of_its_kind = np.r_[True, (keys[1:] != keys[:-1]) | (entry[1:] != entry[:-1])]
    keys, entry = keys[first_of_its_kind], entry[first_of_its_kind]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    sizes = np.diff(np.r_[starts, len(keys)])
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    weight = (1 / np.log2(1 + size)).astype(np.float32)
    place = np.arange(len(keys)) - start
    for distance in range(1, min(_WINDOW, int(sizes.max(initial=1)) - 1) + 1):
        rows = np.flatnonzero(place >= distance)
        yield _votes(entry[rows - distance], entry[rows], weight[rows], is_new)
    for hub in range(_HUBS):
        rows = np.flatnonzero(place - hub > _WINDOW)
        if len(rows):
            yield _votes(entry[start[rows] + hub], entry[rows], weight[rows], is_new)


def _votes(one: Integers, other: Integers, weight: Floats, is_new: NDArray[np.bool_]) -> _Votes:
    """Return the votes of pairs of entries; two mirrored entries say nothing that the plain ones don't."""
    a, b = one // 2, other // 2
    mirrored = (one | other) & 1
    counts = (a != b) & ((one & other & 1) == 0) & (is_new[a] | is_new[b])
    a, b, mirrored, weight = a[counts], b[counts], mirrored[counts], weight[counts]
    flip = (one[counts] & 1) == 1
    asks = np.where(mirrored == 1, np.where(flip, a, b), np.minimum(a, b))
    answers = np.where(mirrored == 1, np.where(flip, b, a), np.maximum(a, b))
    pair = (asks * len(is_new) + answers) * 2 + mirrored
    return _Votes(pair, np.ones(len(pair), np.int64), weight)


def _sum(parts: list[_Votes]) -> _Votes:
    """Add up the votes of equal pairs."""
    pair, collisions, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    pairs, number = np.unique(pair, return_inverse=True)
    return _Votes(
        pairs,
        np.bincount(number, collisions, len(pairs)).astype(np.int64),
        np.bincount(number, weight, len(pairs)).astype(np.float32),
    )


def _strongest(votes: _Votes, videos: int) -> Candidates:
    """Return pairs with enough collisions that are among the strongest of one of their videos."""
    enough = votes.collisions >= LEAST_COLLISIONS
    pair, weight = votes.pair[enough], votes.weight[enough]
    one, other, mirrored = pair // 2 // videos, pair // 2 % videos, (pair & 1).astype(np.bool_)
    kept = np.zeros(len(pair), np.bool_)
    for video in (one, other):
        order = np.lexsort((-weight, video))
        ordered = video[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
        sizes = np.diff(np.r_[starts, len(ordered)])
        kept[order[np.arange(len(ordered)) - np.repeat(starts, sizes) < PARTNERS]] = True
    return Candidates(one[kept], other[kept], mirrored[kept])
