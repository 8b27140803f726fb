"""Alignment of frame hashes over time, on hashes made of random bits."""

from __future__ import annotations

import numpy as np
import pytest

from curation.selection.deduplication.perceptual.frame_alignment import Alignment, AlignmentLimits, align

LIMITS = AlignmentLimits()


def times(count: int, step: float = 0.5) -> np.ndarray:
    return np.arange(count) * step


def hashes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def noisy(values: np.ndarray, bits: int, seed: int = 9) -> np.ndarray:
    """Flip some bits of each hash."""
    rng = np.random.default_rng(seed)
    flips = [sum(1 << int(bit) for bit in rng.choice(64, bits, replace=False)) for _ in values]
    return values ^ np.array(flips, np.uint64)


def aligned(a: np.ndarray, b: np.ndarray, times_b: np.ndarray | None = None) -> Alignment | None:
    return align(times(len(a)), a, times(len(b)) if times_b is None else times_b, b, LIMITS)


def test_a_copy_with_noise_is_aligned_whole() -> None:
    found = aligned(hashes(40), noisy(hashes(40), 12))
    assert found is not None
    assert (found.start_a, found.end_a, found.start_b, found.end_b) == (0, 20, 0, 20)
    assert found.similarity == pytest.approx(1 - 12 / 64)


@pytest.mark.parametrize("speed", [0.95, 1.05])
def test_a_copy_of_another_speed_is_aligned(speed: float) -> None:
    copy_times = times(120) * speed
    found = aligned(hashes(120), noisy(hashes(120), 8), copy_times)
    assert found is not None
    assert found.end_a - found.start_a > 55
    assert found.speed == pytest.approx(speed, abs=0.011)


def test_a_part_inside_of_another_video_is_located() -> None:
    part = hashes(20)
    film = np.concatenate([hashes(30, 1), noisy(part, 6), hashes(30, 2)])
    found = aligned(part, film)
    assert found is not None
    assert (found.start_b, found.end_b) == (15, 25)
    back = found.swapped()
    assert (back.start_a, back.end_a, back.end_b) == (15, 25, 10)


def test_other_pictures_are_not_aligned() -> None:
    assert aligned(hashes(60), hashes(60, 1)) is None


def test_only_what_is_shared_is_aligned() -> None:
    intro = hashes(10, 5)
    found = aligned(np.concatenate([intro, hashes(30, 1)]), np.concatenate([intro, hashes(30, 2)]))
    assert found is not None
    assert (found.start_a, found.end_a) == (0, 5)


def test_what_is_shared_for_less_than_the_limit_does_not_count() -> None:
    intro = hashes(5, 5)
    assert aligned(np.concatenate([intro, hashes(30, 1)]), np.concatenate([intro, hashes(30, 2)])) is None


def test_still_pictures_must_be_nearly_equal() -> None:
    still = np.full(20, hashes(1)[0])
    assert aligned(still, noisy(still[:1], 2).repeat(20)) is not None
    assert aligned(still, noisy(still[:1], 11).repeat(20)) is None


def test_nothing_is_aligned_with_no_frames() -> None:
    assert aligned(hashes(0), hashes(10)) is None
