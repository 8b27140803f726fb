"""Candidates from colliding hashes, on hashes made of random bits."""

from __future__ import annotations

import numpy as np

from curation.selection.deduplication.perceptual.frame_hash import mirrored
from curation.selection.deduplication.perceptual.hash_index import PARTNERS, Candidates, candidate_pairs

FRAMES = 20


def videos(count: int, seed: int = 0) -> np.ndarray:
    """Hashes of some videos [count, FRAMES]."""
    return np.random.default_rng(seed).integers(0, 2**64, (count, FRAMES), dtype=np.uint64)


def noisy(values: np.ndarray, bits: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    flips = [sum(1 << int(bit) for bit in rng.choice(64, bits, replace=False)) for _ in values.ravel()]
    return values ^ np.array(flips, np.uint64).reshape(values.shape)


def candidates(hashes: np.ndarray, is_new: np.ndarray | None = None) -> Candidates:
    flat = hashes.reshape(-1)
    numbers = np.repeat(np.arange(len(hashes)), hashes.shape[1])
    return candidate_pairs(flat, mirrored(flat), numbers, np.ones(len(hashes), bool) if is_new is None else is_new)


def pairs(found: Candidates, *, mirror: bool) -> set[tuple[int, int]]:
    rows = zip(found.one.tolist(), found.other.tolist(), found.is_mirrored.tolist(), strict=True)
    return {(min(a, b), max(a, b)) for a, b, flipped in rows if flipped == mirror}


def test_copies_with_a_fifth_of_their_bits_changed_are_candidates() -> None:
    originals = videos(200)
    found = pairs(candidates(np.concatenate([originals, noisy(originals[:50], 12)])), mirror=False)
    assert sum((number, 200 + number) in found for number in range(50)) >= 49
    assert len(found) < 400  # of 31,125 pairs


def test_mirrored_copies_are_candidates_as_mirrored() -> None:
    originals = videos(50)
    found = candidates(np.concatenate([originals, mirrored(originals[:5])]))
    assert {(number, 50 + number) for number in range(5)} <= pairs(found, mirror=True)


def test_only_pairs_with_a_new_video_are_candidates() -> None:
    originals = videos(20)
    every = np.concatenate([originals, originals, originals])
    found = pairs(candidates(every, np.arange(60) >= 40), mirror=False)
    assert all(other >= 40 for _, other in found)
    assert {(3, 43), (23, 43)} <= found


def test_a_picture_that_all_videos_share_does_not_make_all_pairs() -> None:
    black = np.zeros((2000, 2), np.uint64)
    found = candidates(np.concatenate([black, videos(2000)[:, :6]], axis=1))
    assert len(found.one) <= 2 * PARTNERS * 2000 < 2000 * 1999 / 2


def test_a_copy_of_a_copy_of_many_is_linked_to_the_best_one() -> None:
    found = pairs(candidates(np.tile(videos(1), (300, 1))), mirror=False)
    assert {(0, number) for number in range(1, 300)} <= found
