"""Shares with 95 % intervals from weighted samples, and agreement beyond chance; the formulas are statsmodels'. Pure.

A weighted sample says less than one of as many equal weights: its interval is that of Kish's effective size
(Σw)² / Σw². Claims of one video resemble each other, which intervals by claim do not know; `Proportion.by_video` is the
interval of the size that remains when videos count as drawn and not claims (Wilson with an effective size, as
recommended by Franco, Little, Louis and Slud, 2019).
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_ALPHA: Final = 0.05
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Outcome:
    """One thing that is or is not so."""

    is_so: bool
    weight: float
    """Things of the layer that it speaks for."""
    video: str


@dataclass(frozen=True)
class Proportion:
    """A share of a layer, estimated from a sample."""

    seen: int
    """Outcomes of the sample."""
    effective: float
    """Outcomes of equal weight that say as much."""
    value: float
    interval: Interval
    """Wilson's."""
    by_video: Interval
    """Wilson's, if outcomes of one video resemble each other as they do in the sample."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of two raters on the same things."""

    seen: int
    agreed: float
    """Share on which both say the same, 0 to 1."""
    kappa: float | None
    """Cohen's: 1 for full agreement, 0 for what chance gives; None if both always say the same one thing."""
    interval: Interval | None
    """None where the formula has none, as for a rater who always says the same."""


def proportion(outcomes: Sequence[Outcome]) -> Proportion | None:
    """Return the weighted share of outcomes that are so; None without outcomes."""
    total = sum(outcome.weight for outcome in outcomes)
    if not outcomes or total <= 0:
        return None
    share = sum(outcome.weight for outcome in outcomes if outcome.is_so) / total
    effective = total**2 / sum(outcome.weight**2 for outcome in outcomes)
    by_claim, size = _wilson(share, effective), _size_by_video(outcomes, share, total)
    by_video = _wilson(share, size) if size < effective * (1 - _ROUNDING) else by_claim
    return Proportion(len(outcomes), effective, share, by_claim, by_video)


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement | None:
    """Return the agreement of two raters from what each says of the same things; None without any."""
    if not pairs:
        return None
    from statsmodels.stats.inter_rater import cohens_kappa

    names = sorted({name for pair in pairs for name in pair})
    same = sum(one == other for one, other in pairs) / len(pairs)
    if len(names) == 1:
        return Agreement(len(pairs), same, None, None)
    table = [[sum(pair == (one, other) for pair in pairs) for other in names] for one in names]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of figures that are not used
        result = cohens_kappa(table)
    low, high = float(result.kappa_low), float(result.kappa_upp)
    interval = Interval(max(low, -1.0), min(high, 1.0)) if math.isfinite(low) and math.isfinite(high) else None
    return Agreement(len(pairs), same, float(result.kappa), interval)


def _wilson(share: float, size: float) -> Interval:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(share * size, size, alpha=_ALPHA, method="wilson")
    return Interval(max(float(low), 0.0), min(float(high), 1.0))


def _size_by_video(outcomes: Sequence[Outcome], share: float, total: float) -> float:
    """Return the effective size from the variance between videos (linearised, videos drawn with replacement).

    A share of 0 or 1 has no variance, and one video none between videos; their size is the number of videos.
    """
    deviations: dict[str, float] = defaultdict(float)
    for outcome in outcomes:
        deviations[outcome.video] += outcome.weight * (outcome.is_so - share)
    variance = sum(deviation**2 for deviation in deviations.values()) / total**2
    if len(deviations) == 1 or variance <= _ROUNDING:
        return float(len(deviations))
    return share * (1 - share) / variance
