"""The comparisons of the experiment and the rule that decides them, written down before the run.

**Measure.** The share of held-out clips whose own caption is closer than the opposite one, in percent; for all but the
control the two clips share their frames, so a bag of frames has 50. A variant's score is the mean over the six queries
that need time. Differences are paired: both sides of a seed start from the same frame-wise weights, see the same clips
in the same order, and are scored on the same held-out clips. The interval is Student's 95 % interval over seeds.

**What decides.** `hierarchy` is the primary comparison, the paper's claim. All others are secondary, and their
intervals are not corrected for their number: of twenty, one errs. A comparison is

    better       if its interval is above 0
    worse        if its interval is below 0
    equal        if its interval contains 0 and is within 2 points on either side: no difference that matters
    undecided    otherwise: more seeds are needed

**What can't decide.** A query where all variants of a comparison exceed 98 %, or are within 2 points of 50 %, can't
show a difference. It stays in the mean and is named in the report.

**When it stops.** The four variants of `hierarchy` run first, for seeds 0, 1, 2, … in order; then all others, seed by
seed, the bottleneck's before the rest. A seed counts in a comparison when all variants of that comparison are scored.
The run ends by the clock or after five seeds, never by a result. Sizes and rates were chosen on seed 99, with the
variants 1-12-1, 1-12-1 + local and 3-4-2 + local alone, so that the longest distances are learnt and the shortest are
not.

The order of runs is an amendment, made when the machine turned out to be busy: four variants of seed 0 had finished by
then (the average of frames, the two without [MST], 1-12-1). Of the first three the training losses had been seen, and
no score of any.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from statsmodels.stats.weightstats import DescrStatsW

from bench.learns.queries import TIMED

MATTERS: Final = 2.0
"""Points; smaller differences don't matter."""
CEILING: Final = 98.0
CHANCE: Final = 50.0

_LONG: Final = ("order-16", "order-28", "drift")
_SHORT: Final = ("order-1", "order-4", "blink")

Verdict = Literal["better", "worse", "equal", "undecided"]
Scores = Mapping[str, Mapping[str, float]]
"""Percent by variant and query, of one seed."""


@dataclass(frozen=True)
class Comparison:
    """Two sides whose difference is asked for."""

    name: str
    question: str
    sides: tuple[tuple[str, str], ...]
    """Variants on either side, pair by pair; the differences of the pairs are averaged."""
    queries: tuple[str, ...] = TIMED
    less: tuple[str, ...] = ()
    """Queries whose difference is subtracted: a comparison of two effects."""


@dataclass(frozen=True)
class Interval:
    """Mean and 95 % interval."""

    mean: float
    low: float
    high: float


def _with_local(first: str, second: str) -> tuple[tuple[str, str], ...]:
    return (first, second), (f"{first} + local", f"{second} + local")


_LOCAL: Final = tuple((f"{name} + local", name) for name in ("no [MST]", "3-4-1", "3-4-2 shuffled"))
_HIERARCHY: Final = _with_local("3-4-2", "1-12-1")
COMPARISONS: Final = (
    Comparison("hierarchy", "three levels 3-4-2 over the same twelve [MST] in one level", _HIERARCHY),
    Comparison("time", "3-4-2 over the average of frames", (("3-4-2", "frame average"),)),
    Comparison("[MST]", "twelve [MST] in one level over none", _with_local("1-12-1", "no [MST]")),
    Comparison("strides", "3-4-2 over three levels that see all frames", _with_local("3-4-2", "3-4-1")),
    Comparison(
        "regular", "3-4-2 over levels of as many frames, drawn at random", _with_local("3-4-2", "3-4-2 shuffled")
    ),
    Comparison("bottleneck", "hierarchy with one [MST] a level", (("3-1-2", "1-3-1"),)),
    Comparison(
        "local",
        "with spatially local attention over without",
        (*_LOCAL, *((f"{name} + local", name) for name in ("1-12-1", "3-4-2"))),
    ),
    Comparison(
        "hierarchy, long", "what hierarchy adds on long dependencies more than on short", _HIERARCHY, _LONG, _SHORT
    ),
)
PRIMARY: Final = COMPARISONS[0].name
TURNS: Final = (
    tuple(name for side in _HIERARCHY for name in side),
    ("1-3-1", "3-1-2", "frame average", *(name for side in _LOCAL for name in reversed(side))),
)
"""Variants in the order of their runs: each turn goes through all seeds."""


def counted(comparison: Comparison, scores: Mapping[int, Scores]) -> dict[int, Scores]:
    """Return the scores of the seeds that count in a comparison: all of its variants are scored."""
    variants = {name for side in comparison.sides for name in side}
    return {seed: of_seed for seed, of_seed in scores.items() if variants <= of_seed.keys()}


def differences(comparison: Comparison, scores: Mapping[int, Scores]) -> list[float]:
    """Return the paired difference of each seed, in points.

    Args:
        comparison: the sides and the queries.
        scores: of the seeds that count, see `counted`.
    """
    return [
        _difference(comparison, seed, comparison.queries)
        - (_difference(comparison, seed, comparison.less) if comparison.less else 0.0)
        for seed in scores.values()
    ]


def _difference(comparison: Comparison, scores: Scores, queries: Sequence[str]) -> float:
    return statistics.mean(
        scores[first][query] - scores[second][query] for first, second in comparison.sides for query in queries
    )


def interval(values: Sequence[float]) -> Interval:
    """Return the mean with Student's 95 % interval.

    Raises:
        ValueError: fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} seeds: an interval needs at least 2")
    low, high = DescrStatsW(list(values)).tconfint_mean(alpha=0.05)
    return Interval(statistics.mean(values), float(low), float(high))


def verdict(difference: Interval) -> Verdict:
    """Apply the rule to a difference."""
    if difference.low > 0:
        return "better"
    if difference.high < 0:
        return "worse"
    if difference.low >= -MATTERS and difference.high <= MATTERS:
        return "equal"
    return "undecided"


def cannot_decide(comparison: Comparison, scores: Mapping[int, Scores]) -> list[str]:
    """Return the queries in which all variants of a comparison are at the ceiling, or all at chance."""
    variants = {name for side in comparison.sides for name in side}
    means = {
        query: [statistics.mean(seed[name][query] for seed in scores.values()) for name in variants]
        for query in (*comparison.queries, *comparison.less)
    }
    return [
        query
        for query, values in means.items()
        if min(values) > CEILING or max(abs(value - CHANCE) for value in values) <= MATTERS
    ]
