"""How the clips drawn from roots come to the proportion of short, medium and long that was asked for; pure.

For each root levels are drawn by weight among those it has clips of. The weights are fitted once, to what all roots
hold, so that the proportion holds over an epoch and not only where a root has everything.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shards.schema import LEVELS, Level

_ROUNDS = 50
_NEAR = 1e-4  # a share that is this near to the one asked for will do

Stock = tuple[int, ...]
"""How many usable clips a root has, by level in the order of `LEVELS`."""


def draw_levels(rng: random.Random, stock: Stock, weights: Sequence[float], count: int) -> list[int]:
    """Draw the levels (as numbers) of a root's clips by weight, among those with clips left; all anew once none is."""
    drawn: list[int] = []
    left = list(stock)
    for _ in range(count):
        left = left if any(left) else list(stock)
        chances = _chances(tuple(left), tuple(weights))
        point, level = rng.random(), 0
        while point >= chances[level] and level < len(chances) - 1:
            point -= chances[level]
            level += 1
        while not left[level]:  # rounding at the upper end
            level -= 1
        left[level] -= 1
        drawn.append(level)
    return drawn


def fit_level_weights(stocks: Mapping[Stock, float], mix: Mapping[Level, float] | None, count: int) -> list[float]:
    """Weights for `draw_levels` with which the levels of all clips drawn come to the proportion asked for.

    Roots differ in what they hold: where short roots give short clips only, the others have to give more of the rest.
    Proportional fitting; where the data can't give the proportion, it ends as near as can be.

    Args:
        stocks: how many roots there are with each stock.
        mix: the proportion; None: the share of each level in the stocks.
        count: clips drawn from a root.
    """
    held = np.array([sum(n * stock[i] for stock, n in stocks.items()) for i in range(len(LEVELS))], np.float64)
    asked = held if mix is None else np.array([mix.get(level, 0.0) for level in LEVELS]) * (held > 0)
    if not asked.sum():
        return [1.0] * len(LEVELS)
    target = asked / asked.sum()
    weights = target.copy()
    few = _capped(stocks, count)
    for _ in range(_ROUNDS):
        weights = np.maximum(weights / weights.sum(), 1e-6)
        got = expected_levels(few, weights.tolist(), count)
        if np.abs(got - target).max() < _NEAR:
            break
        weights = weights * np.where(got > 0, target / np.maximum(got, 1e-12), 1.0)
    return [round(max(float(weight), 1e-6), 6) for weight in weights / weights.sum()]  # the same on every machine


def expected_levels(stocks: Mapping[Stock, float], weights: Sequence[float], count: int) -> NDArray[np.float64]:
    """Share of each level among the clips that `draw_levels` is expected to draw."""

    @cache
    def expected(left: Stock, full: Stock, draws: int) -> tuple[float, ...]:
        if not draws:
            return (0.0,) * len(LEVELS)
        left = left if any(left) else full
        total = np.zeros(len(LEVELS))
        for level, chance in enumerate(_chances(left, tuple(weights))):
            if chance:
                rest = tuple(n - (i == level) for i, n in enumerate(left))
                total += chance * (np.array(expected(rest, full, draws - 1)) + np.eye(len(LEVELS))[level])
        return tuple(total.tolist())

    total = sum(
        (n * np.array(expected(stock, stock, count)) for stock, n in stocks.items() if any(stock)),
        np.zeros(len(LEVELS)),
    )
    return np.asarray(total / max(total.sum(), 1e-12), np.float64)


def _capped(stocks: Mapping[Stock, float], count: int) -> dict[Stock, float]:
    """The same roots; more clips of a level than are drawn from a root make no difference."""
    capped: dict[Stock, float] = {}
    for stock, roots in stocks.items():
        key = tuple(min(held, count) for held in stock)
        capped[key] = capped.get(key, 0.0) + roots
    return capped


def _chances(left: Stock, weights: tuple[float, ...]) -> list[float]:
    parts = [weight if n else 0.0 for n, weight in zip(left, weights, strict=True)]
    if not sum(parts):
        parts = [float(n > 0) for n in left]
    return [part / sum(parts) for part in parts]
