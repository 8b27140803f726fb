"""Thresholds for a stated bound on the errors that the cascade accepts, from injected errors. Pure.

The judges' thresholds move together: for a share *q*, each judge's threshold is the lowest that accepts at most *q* of
the injected errors that it scored. The largest *q* is taken at which the cascade accepts no more of them than the
bound, so that a cascade of several judges is not stricter than it need be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from curation.grounding.injections.control_claims import SHUFFLED
from curation.grounding.judge_registry import CascadeSettings
from curation.grounding.measurement.judge_scores import CASCADE, JudgedControl, accepted
from runtime.errors import UserError

_STEPS: Final = 100
_DIGITS: Final = 4


@dataclass(frozen=True)
class AcceptedShares:
    """The shares of true and false claims that the cascade accepts at some thresholds."""

    true: float
    """Share of the true claims."""
    false: float
    """Share of the injected errors."""


@dataclass(frozen=True)
class FittedThresholds:
    """Thresholds that keep a bound, and their price."""

    thresholds: dict[str, float]
    """By the name of the judge."""
    before: AcceptedShares
    """With the thresholds of the settings."""
    after: AcceptedShares
    bound: float
    """Share of injected errors that the cascade may accept."""

    @property
    def is_met(self) -> bool:
        """True if the cascade keeps the bound."""
        return self.after.false <= self.bound


def fit_thresholds(judged: Sequence[JudgedControl], settings: CascadeSettings, bound: float) -> FittedThresholds:
    """Choose the thresholds of all judges with scores between 0 and 1.

    Args:
        judged: true and false claims with the rulings of the judges that `settings` names.
        settings: the judges; their thresholds are where the search begins.
        bound: largest share of the injected errors that the cascade may accept, 0 to 1.

    Raises:
        UserError: there are no true claims, no injected errors, or no scores between 0 and 1.
    """
    if not any(map(_is_error, judged)) or not any(each.control.is_true for each in judged):
        raise UserError(
            "--fit: there are no claims of a model to keep, or none in which an error could be injected; "
            "fit on a DIR with more claims"
        )
    if not _thresholds(judged, settings, 1.0):
        raise UserError(
            f"--fit: no judge whose threshold could be fitted is among rewrite.ground.judges={list(settings.judges)}; "
            "name one that gives scores, such as encoder"
        )
    before = _shares(judged, settings)
    best: FittedThresholds | None = None
    for step in range(_STEPS, -1, -1):
        thresholds = _thresholds(judged, settings, step / _STEPS)
        best = FittedThresholds(thresholds, before, _shares(judged, with_thresholds(settings, thresholds)), bound)
        if best.is_met:
            break
    assert best is not None
    return best


def with_thresholds(settings: CascadeSettings, thresholds: dict[str, float]) -> CascadeSettings:
    """Return the settings with other thresholds, by the names of the judges."""
    changed = {
        name: getattr(settings, name).model_copy(update={"threshold": value}) for name, value in thresholds.items()
    }
    return settings.model_copy(update=changed)


def _thresholds(judged: Sequence[JudgedControl], settings: CascadeSettings, share: float) -> dict[str, float]:
    """Return the lowest threshold of each judge that accepts at most `share` of the errors that it scored."""
    found = {}
    for kind, _ in settings.used():
        scores = [each.rulings[kind.name].score for each in judged if _is_error(each)]
        false = sorted((score for score in scores if score is not None), reverse=True)
        if any(0 < score < 1 for score in false):
            found[kind.name] = _above(false, int(share * len(false)))
    return found


def _above(scores: Sequence[float], accepted_at_most: int) -> float:
    """Return the lowest threshold, to four digits, that at most so many of the scores (in falling order) reach."""
    if accepted_at_most >= len(scores):
        return 0.0
    step = 10.0**-_DIGITS
    return min(1.0, round((math.floor(scores[accepted_at_most] / step) + 1) * step, _DIGITS))


def _is_error(each: JudgedControl) -> bool:
    """Return True for an injected error; shuffled claims are easily rejected and would hide what is accepted."""
    return not each.control.is_true and each.control.kind != SHUFFLED


def _shares(judged: Sequence[JudgedControl], settings: CascadeSettings) -> AcceptedShares:
    kept = accepted(judged, settings)[CASCADE]
    true = [hit for hit, each in zip(kept, judged, strict=True) if each.control.is_true]
    false = [hit for hit, each in zip(kept, judged, strict=True) if _is_error(each)]
    return AcceptedShares(sum(true) / len(true), sum(false) / len(false))
