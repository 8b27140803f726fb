"""The order of an epoch: windows of shards, videos in turn, seeds."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.order.epoch_order import round_robin, seed_of, shards_a_window, shuffled_windows, spread


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5))
def test_windows_have_every_shard_once_and_depend_on_seed_and_epoch_alone(
    count: int, window: int, seed: int, epoch: int
) -> None:
    windows = shuffled_windows(count, window, seed, epoch)
    assert sorted(shard for shards in windows for shard in shards) == list(range(count))
    assert all(len(shards) == window for shards in windows[:-1])
    assert windows == shuffled_windows(count, window, seed, epoch)


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = [shuffled_windows(30, 4, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(a != b for n, a in enumerate(orders) for b in orders[:n])


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40), st.integers(0, 3))
def test_a_window_is_visited_round_robin_over_its_videos(videos: list[str], epoch: int) -> None:
    order = round_robin(videos, seed=1, epoch=epoch, window=0)
    assert sorted(order.tolist()) == list(range(len(videos)))
    seen: Counter[str] = Counter()
    left = Counter(videos)
    for root in order:
        video = videos[root]
        assert seen[video] == min(seen[other] for other in left if left[other])
        seen[video] += 1
        left[video] -= 1


def test_seeds_are_the_same_on_every_machine() -> None:
    assert seed_of(3, 1, "abc") == 10768347934605311158
    assert seed_of(3, 1, "abc") != seed_of(3, 11, "bc")


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 5))
def test_even_windows_have_every_shard_once_and_the_asked_size_at_least(count: int, window: int, epoch: int) -> None:
    windows = shuffled_windows(count, window, 1, epoch, even=True)
    assert sorted(shard for shards in windows for shard in shards) == list(range(count))
    assert min(map(len, windows)) >= min(window, count)
    assert max(map(len, windows)) - min(map(len, windows)) <= 1


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=60), st.integers(0, 3), st.integers(1, 8))
def test_the_roots_of_a_video_are_spread_over_their_window(videos: list[str], epoch: int, parts: int) -> None:
    order = spread(videos, seed=1, epoch=epoch, window=0)
    assert sorted(order.tolist()) == list(range(len(videos)))
    assert order.tolist() == spread(videos, seed=1, epoch=epoch, window=0).tolist()
    size = math.ceil(len(videos) / parts)
    counts = Counter(videos)
    for begin in range(0, len(videos), size):
        taken = Counter(videos[root] for root in order[begin : begin + size])
        for video, times in taken.items():
            share = counts[video] * size / len(videos)
            assert times <= math.ceil(share) + len(counts)


def test_a_window_takes_as_many_shards_as_hold_the_videos() -> None:
    assert shards_a_window([64] * 1000, roots_a_batch=4096, batches=4, least=8) == 256
    assert shards_a_window([64] * 1000, roots_a_batch=4096, batches=0, least=8) == 8
    assert shards_a_window([5000] * 1000, roots_a_batch=4096, batches=4, least=8) == 8
    assert shards_a_window([0, 0], roots_a_batch=8, batches=4, least=2) == 2


def test_a_batch_of_the_paper_is_of_nearly_as_many_videos_as_clips() -> None:
    """One window of the plan for 4096 clips a batch: shards of 64 videos whose lengths differ much."""
    rng = np.random.default_rng(0)
    shards = shards_a_window([64] * 1000, roots_a_batch=4096, batches=4, least=8)
    lengths = np.ceil(rng.lognormal(1.2, 1.0, size=shards * 64)).astype(int)
    videos = np.repeat(np.arange(len(lengths)), lengths).astype(str)
    order = spread(videos.tolist(), seed=0, epoch=0, window=0)
    batches = [videos[order[begin : begin + 4096]] for begin in range(0, len(order) - 4096, 4096)]
    assert min(len(set(batch)) for batch in batches) >= 3500
    assert max(max(Counter(batch.tolist()).values()) for batch in batches) <= 8
    neighbours = [len(set(one) & set(two)) for one, two in itertools.pairwise(batches)]
    assert np.median(neighbours) < 1024
