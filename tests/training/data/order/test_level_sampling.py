"""The proportion of short, medium and long clips that is drawn from roots."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.order.level_sampling import draw_levels, expected_levels, fit_level_weights

TREE, SHORT_ROOT = (4, 2, 1), (1, 0, 0)


def test_levels_have_the_given_proportion_over_all_roots() -> None:
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


def test_without_a_mix_levels_have_the_proportion_of_the_data() -> None:
    stocks = {TREE: 3.0, (3, 1, 1): 2.0}
    weights = fit_level_weights(stocks, None, count=2)
    np.testing.assert_allclose(expected_levels(stocks, weights, 2), np.array([18, 8, 5]) / 31, atol=0.01)


def test_an_impossible_proportion_gives_the_nearest_one() -> None:
    stocks = {TREE: 1.0, SHORT_ROOT: 9.0}
    shares = expected_levels(stocks, fit_level_weights(stocks, {"long": 1.0}, count=1), 1)
    np.testing.assert_allclose(shares, [0.9, 0.0, 0.1], atol=0.01)


def test_a_level_without_clips_leaves_the_others_in_proportion() -> None:
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


def test_a_root_without_clips_left_stops_unless_clips_repeat() -> None:
    assert draw_levels(random.Random(0), (1, 1, 0), [1, 1, 1], 4, repeat=False) in ([0, 1], [1, 0])
    assert len(draw_levels(random.Random(0), (1, 1, 0), [1, 1, 1], 4)) == 4
    stocks = {(1, 0, 0): 1.0, (2, 2, 0): 1.0}
    np.testing.assert_allclose(expected_levels(stocks, [1, 1, 1], 4, repeat=False), [0.6, 0.4, 0])
