"""The order of an epoch: windows of shards, videos in turn, seeds."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from training.data.epoch_order import round_robin, seed_of, shuffled_windows


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
