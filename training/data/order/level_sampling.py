"""Draws the levels of training clips so that an epoch has a given proportion of short, medium and long; pure.

For each root, levels are drawn by weight among those that it has clips of. The weights are fitted once to the stocks
of all roots, so that the proportion is met over the epoch, although few roots have clips of all levels.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shards.schema import LEVELS, Level

_ROUNDS = 50
_NEAR = 1e-4  # largest deviation of a level's share from the target

Stock = tuple[int, ...]
"""Number of usable clips of a root, by level in the order of `LEVELS`."""


def draw_levels(
    rng: random.Random, stock: Stock, weights: Sequence[float], count: int, repeat: bool = True
) -> list[int]:
    """Draw the levels (as numbers) of a root's clips by weight, among levels with clips left.

    Args:
        rng: of the root.
        stock: clips of the root by level.
        weights: by level.
        count: number of levels to draw.
        repeat: if no clip is left, begin again with all of them; otherwise stop.
    """
    drawn: list[int] = []
    left = list(stock)
    for _ in range(count if repeat else min(count, sum(stock))):
        left = left if any(left) else list(stock)
        chances = _chances(tuple(left), tuple(weights))
        point, level = rng.random(), 0
        while point >= chances[level] and level < len(chances) - 1:
            point -= chances[level]
            level += 1
        while not left[level]:  # rounding errors can pass the last level with clips
            level -= 1
        left[level] -= 1
        drawn.append(level)
    return drawn


def fit_level_weights(
    stocks: Mapping[Stock, float], mix: Mapping[Level, float] | None, count: int, repeat: bool = True
) -> list[float]:
    """Fit the weights for `draw_levels` so that the levels of all drawn clips have the given proportion.

    Roots differ in their stock: if short roots have short clips only, the other roots must give more of the rest.
    Uses iterative proportional fitting; if the data can't meet the proportion, the result is the nearest one.

    Args:
        stocks: number of roots by stock.
        mix: the proportion; None: the share of each level in the stocks.
        count: clips drawn from a root.
        repeat: as of `draw_levels`.
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
        got = expected_levels(few, weights.tolist(), count, repeat)
        if np.abs(got - target).max() < _NEAR:
            break
        weights = weights * np.where(got > 0, target / np.maximum(got, 1e-12), 1.0)
    return [round(max(float(weight), 1e-6), 6) for weight in weights / weights.sum()]  # the same on every machine


def expected_levels(
    stocks: Mapping[Stock, float], weights: Sequence[float], count: int, repeat: bool = True
) -> NDArray[np.float64]:
    """Return the expected share of each level among the clips that `draw_levels` draws.

    Args:
        stocks: number of roots by stock.
        weights: by level.
        count: clips drawn from a root.
        repeat: as of `draw_levels`.
    """

    @cache
    def expected(left: Stock, full: Stock, draws: int) -> tuple[float, ...]:
        if not draws or not (repeat or any(left)):
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
    """Limit stocks to `count` clips of a level, which gives the same draws and fewer different stocks."""
    capped: dict[Stock, float] = {}
    for stock, roots in stocks.items():
        key = tuple(min(held, count) for held in stock)
        capped[key] = capped.get(key, 0.0) + roots
    return capped


def _chances(left: Stock, weights: tuple[float, ...]) -> list[float]:
    """Return the probability of each level; equal ones if no level with clips left has a weight."""
    parts = [weight if n else 0.0 for n, weight in zip(left, weights, strict=True)]
    if not sum(parts):
        parts = [float(n > 0) for n in left]
    return [part / sum(parts) for part in parts]
