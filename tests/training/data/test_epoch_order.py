"""The pure part of an epoch: settings that agree, the order of roots, the proportion of levels."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import UserError
from runtime.settings import build
from training.data.data_settings import DataSettings
from training.data.epoch_order import round_robin, seed_of, shuffled_windows
from training.data.level_sampling import draw_levels, expected_levels, fit_level_weights

TREE, SHORT_ROOT = (4, 2, 1), (1, 0, 0)


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5))
def test_windows_hold_every_shard_once_and_depend_on_seed_and_epoch_alone(
    count: int, window: int, seed: int, epoch: int
) -> None:
    windows = shuffled_windows(count, window, seed, epoch)
    assert sorted(shard for shards in windows for shard in shards) == list(range(count))
    assert all(len(shards) == window for shards in windows[:-1])
    assert windows == shuffled_windows(count, window, seed, epoch)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
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


def test_levels_come_in_the_proportion_asked_for_over_all_roots() -> None:
    stocks = {TREE: 60.0, SHORT_ROOT: 40.0}
    mix = {"short": 0.5, "medium": 0.3, "long": 0.2}
    weights = fit_level_weights(stocks, mix, count=2)
    rng = random.Random(0)
    drawn: Counter[int] = Counter()
    for stock, count in stocks.items():
        for _ in range(int(count) * 200):
            drawn.update(draw_levels(rng, stock, weights, 2))
    shares = [drawn[level] / drawn.total() for level in range(3)]
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.01)


def test_without_a_mix_levels_come_as_they_are_in_the_data() -> None:
    stocks = {TREE: 3.0, (3, 1, 1): 2.0}
    weights = fit_level_weights(stocks, None, count=2)
    np.testing.assert_allclose(expected_levels(stocks, weights, 2), np.array([18, 8, 5]) / 31, atol=0.01)


def test_a_proportion_that_the_data_can_not_give_ends_as_near_as_can_be() -> None:
    stocks = {TREE: 1.0, SHORT_ROOT: 9.0}
    shares = expected_levels(stocks, fit_level_weights(stocks, {"long": 1.0}, count=1), 1)
    np.testing.assert_allclose(shares, [0.9, 0.0, 0.1], atol=0.01)


def test_a_level_that_is_not_there_leaves_the_others_in_proportion() -> None:
    shares = expected_levels(
        {(5, 5, 0): 1.0}, fit_level_weights({(5, 5, 0): 1.0}, {"short": 1, "medium": 3, "long": 4}, 1), 1
    )
    np.testing.assert_allclose(shares, [0.25, 0.75, 0.0], atol=0.01)


@given(st.tuples(*[st.integers(0, 3)] * 3).filter(any), st.integers(1, 6), st.integers(0, 99))
def test_clips_are_drawn_again_only_when_none_is_left(stock: tuple[int, ...], count: int, seed: int) -> None:
    drawn = Counter(draw_levels(random.Random(seed), stock, [1.0, 1.0, 1.0], count))
    rounds = -(-count // sum(stock))
    assert all(drawn[level] <= rounds * held for level, held in enumerate(stock))
    assert count < sum(stock) or all(drawn[level] >= (rounds - 1) * held for level, held in enumerate(stock))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "webdataset"}, "clips_per_root=2; set clips_per_root=1"),
        ({"level_mix": {"short": 0.0}}, "at least one above 0"),
        ({"layers": {}}, "layers={}: give weights"),
        ({"clips_per_roots": 3}, "did you mean 'clips_per_root'"),
    ],
)
def test_settings_that_do_not_agree_are_refused_in_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        build(DataSettings, values, "data")
    assert "\n" not in str(refused.value)


def test_what_does_not_change_the_training_is_not_content() -> None:
    assert not {"workers", "prefetch", "cache", "cache_gb"} & set(DataSettings().content())
