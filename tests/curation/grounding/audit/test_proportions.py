"""Intervals of weighted shares, and agreement beyond chance."""

from __future__ import annotations

import math

import pytest

from curation.grounding.audit.proportions import Outcome, agreement, proportion


def wilson(share: float, size: float) -> tuple[float, float]:
    """The 95 % interval by Wilson's formula (1927)."""
    z = 1.959963984540054
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    return middle - half, middle + half


def outcomes(true: int, false: int, weight: float = 1.0) -> list[Outcome]:
    """Outcomes of equal weight, each of a video of its own."""
    return [Outcome(number < true, weight, str(number)) for number in range(true + false)]


@pytest.mark.parametrize(("true", "false"), [(9, 1), (0, 7), (7, 0), (1, 0), (180, 20)])
@pytest.mark.parametrize("weight", [1.0, 37.5])
def test_equal_weights_give_wilsons_interval(true: int, false: int, weight: float) -> None:
    share = proportion(outcomes(true, false, weight))
    assert share is not None
    assert share.value == pytest.approx(true / (true + false))
    low, high = wilson(true / (true + false), true + false)
    assert (share.interval.low, share.interval.high) == pytest.approx((max(low, 0), min(high, 1)))
    assert share.by_video == share.interval or true in (0, true + false) or share.by_video.low <= share.interval.low


def test_weights_count_and_cost_precision() -> None:
    rare, common = [Outcome(False, 1, f"r{n}") for n in range(10)], [Outcome(True, 9, f"c{n}") for n in range(10)]
    share = proportion(rare + common)
    assert share is not None
    assert share.value == pytest.approx(0.9)
    assert share.effective == pytest.approx(100**2 / (10 * 1 + 10 * 81))
    assert (share.interval.low, share.interval.high) == pytest.approx(wilson(0.9, share.effective))


def test_claims_of_one_video_that_resemble_each_other_count_as_one() -> None:
    share = proportion([Outcome(video < 5, 1, str(video)) for video in range(10) for _ in range(20)])
    assert share is not None
    assert (share.by_video.low, share.by_video.high) == pytest.approx(wilson(0.5, 10))
    assert share.interval.high - share.interval.low < 0.3 * (share.by_video.high - share.by_video.low)


def test_nothing_has_no_share() -> None:
    assert proportion([]) is None


def test_kappa_is_the_agreement_beyond_chance() -> None:
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    found = agreement(pairs)
    assert found is not None and found.kappa is not None and found.interval is not None
    assert found.agreed == pytest.approx(0.7)
    assert found.kappa == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert found.interval.low < found.kappa < found.interval.high <= 1


def test_raters_who_always_say_the_same_one_thing_have_no_kappa() -> None:
    found = agreement([("yes", "yes")] * 4)
    assert found is not None
    assert (found.agreed, found.kappa, found.interval) == (1.0, None, None)


def test_a_rater_who_never_varies_agrees_by_chance() -> None:
    found = agreement([("yes", "yes")] * 3 + [("no", "yes")])
    assert found is not None
    assert found.kappa == pytest.approx(0.0)
    assert found.interval is None or math.isfinite(found.interval.low + found.interval.high)


def test_nothing_has_no_agreement() -> None:
    assert agreement([]) is None
