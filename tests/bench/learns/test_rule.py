"""The rule: paired differences, intervals on known numbers, and what each verdict needs."""

from __future__ import annotations

import pytest

from bench.learns.queries import TIMED
from bench.learns.rule import (
    COMPARISONS,
    PRIMARY,
    TURNS,
    Comparison,
    Interval,
    cannot_decide,
    counted,
    differences,
    interval,
    verdict,
)
from bench.learns.variants import VARIANTS


def flat(value: float) -> dict[str, float]:
    return dict.fromkeys(TIMED, value)


def test_the_interval_is_students_over_seeds() -> None:
    found = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    # mean 3, standard deviation 1.5811, standard error 0.7071, t of 4 degrees of freedom 2.7764
    assert found.mean == 3.0
    assert found.low == pytest.approx(3 - 2.7764 * 0.7071, abs=1e-3)
    assert found.high == pytest.approx(3 + 2.7764 * 0.7071, abs=1e-3)


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        interval([1.0])


def test_differences_are_taken_within_a_seed_and_averaged_over_sides_and_queries() -> None:
    comparison = Comparison("x", "?", (("a", "b"), ("a + local", "b + local")))
    scores = {
        0: {"a": flat(70), "b": flat(60), "a + local": flat(80), "b + local": flat(76)},
        1: {"a": flat(50), "b": flat(60), "a + local": flat(90), "b + local": flat(90)},
    }
    assert differences(comparison, scores) == [7.0, -5.0]


def test_a_comparison_of_effects_subtracts_that_of_other_queries() -> None:
    comparison = Comparison("x", "?", (("a", "b"),), queries=("drift",), less=("blink",))
    scores = {0: {"a": {"drift": 80.0, "blink": 61.0}, "b": {"drift": 60.0, "blink": 60.0}}}
    assert differences(comparison, scores) == [19.0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 9, "better"), (-9, -0.1, "worse"), (-1.9, 1.9, "equal"), (-2.1, 1, "undecided"), (-1, 2.1, "undecided")],
)
def test_the_verdict_follows_from_where_the_interval_is(low: float, high: float, expected: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high)) == expected


def test_queries_at_the_ceiling_or_at_chance_on_both_sides_cannot_decide() -> None:
    comparison = Comparison("x", "?", (("a", "b"),), queries=("drift", "blink", "order-1", "order-28"))
    a = {"drift": 99.0, "blink": 51.0, "order-1": 99.0, "order-28": 51.0}
    b = {"drift": 99.5, "blink": 48.5, "order-1": 90.0, "order-28": 60.0}
    assert cannot_decide(comparison, {0: {"a": a, "b": b}}) == ["drift", "blink"]


def test_hierarchy_is_decided_first_between_variants_with_equally_many_mst_tokens() -> None:
    first = COMPARISONS[0]
    assert first.name == PRIMARY == "hierarchy"
    for sides in first.sides:
        temporal = [VARIANTS[name].temporal for name in sides]
        assert {t.summary_tokens for t in temporal if t} == {13}
        assert len({t.spatially_local for t in temporal if t}) == 1


def test_every_compared_variant_is_trained() -> None:
    compared = {name for each in COMPARISONS for side in each.sides for name in side}
    assert compared == set(VARIANTS) == {name for turn in TURNS for name in turn}


def test_a_seed_counts_in_a_comparison_when_all_of_its_variants_are_scored() -> None:
    comparison = Comparison("x", "?", (("a", "b"),))
    scores = {0: {"a": flat(1), "b": flat(1)}, 1: {"a": flat(1), "c": flat(1)}}
    assert list(counted(comparison, scores)) == [0]
