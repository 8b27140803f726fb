"""Frames by duration: the rate is kept within the budget, and the buckets of a batch divide among ranks."""

import math
import random
from collections import Counter

import pytest

from training.data.data_settings import DataSettings
from training.data.order.frame_buckets import FrameBuckets, equal_parts

BUCKETS = FrameBuckets(1.0, (8, 12, 16, 24, 32))


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(0.0, 8), (3.0, 8), (11.9, 8), (12.0, 12), (13.5, 12), (30.0, 24), (32.0, 32), (60.0, 32), (math.inf, 32)],
)
def test_a_clip_gets_the_largest_bucket_that_does_not_exceed_the_rate(seconds: float, frames: int) -> None:
    assert BUCKETS.frames_of(seconds) == frames


def test_without_a_rate_there_are_no_buckets() -> None:
    assert FrameBuckets.of(DataSettings()) is None
    named = DataSettings(frames_per_second=2.0, frame_buckets=(4, 8))
    assert FrameBuckets.of(named) == FrameBuckets(2.0, (4, 8))


def test_a_small_batch_follows_the_rule_for_each_clip() -> None:
    seconds = [61.0, 2.0, 14.0, 29.0, 13.0, 8.0]
    assert BUCKETS.plan(seconds) == [BUCKETS.frames_of(second) for second in seconds]


def test_the_buckets_of_a_large_batch_are_multiples_and_only_clips_at_their_borders_change() -> None:
    draw = random.Random(0)
    seconds = [draw.lognormvariate(2.9, 0.7) for _ in range(1024)]
    planned = BUCKETS.plan(seconds)
    assert equal_parts(1024) == 16
    assert all(clips % 16 == 0 for clips in Counter(planned).values())
    changed = [
        (asked, frames)
        for frames, asked in zip(planned, map(BUCKETS.frames_of, seconds), strict=True)
        if frames != asked
    ]
    assert 0 < len(changed) <= 4 * 8
    assert all(abs(BUCKETS.counts.index(asked) - BUCKETS.counts.index(frames)) == 1 for asked, frames in changed)
    in_order = [frames for _, frames in sorted(zip(seconds, planned, strict=True))]
    assert in_order == sorted(in_order)


@pytest.mark.parametrize(("clips", "parts"), [(1, 1), (6, 1), (128, 2), (4096, 64), (4100, 4), (32768, 512)])
def test_a_bucket_is_a_multiple_of_a_power_of_two_that_divides_the_batch(clips: int, parts: int) -> None:
    assert equal_parts(clips) == parts
