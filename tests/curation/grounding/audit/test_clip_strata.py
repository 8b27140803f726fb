"""Strata of a sample: every kind of clip is drawn, rare ones more often than their share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.grounding.audit.clip_strata import OTHER, Cell, allocate, plan_strata


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 10_000), max_size=20), st.integers(0, 500))
def test_as_many_are_drawn_as_asked_for_and_never_more_than_there_are(sizes: dict[str, int], total: int) -> None:
    drawn = allocate(sizes, total)
    assert sum(drawn.values()) == min(total, sum(sizes.values()))
    assert all(0 <= drawn[name] <= size for name, size in sizes.items())


def test_shares_follow_the_square_roots_of_the_sizes() -> None:
    assert allocate({"large": 9000, "small": 1000}, 100) == {"large": 75, "small": 25}


def test_a_rare_stratum_has_two() -> None:
    assert allocate({"large": 1_000_000, "rare": 3}, 20) == {"large": 18, "rare": 2}


def test_a_large_sample_tells_all_four_kinds_apart() -> None:
    cells = [Cell(level, band, "a.org", language) for level in "sm" for band in "xy" for language in ("en", "de")]
    strata = plan_strata(dict.fromkeys(cells, 50), 40)
    assert {stratum.name for stratum in strata} == {", ".join((c.level, c.band, c.site, c.language)) for c in cells}
    assert {stratum.drawn for stratum in strata} == {5}


def test_a_small_sample_has_fewer_strata_and_still_every_level() -> None:
    cells = {Cell(level, band, f"{site}.org", "en"): 10 for level in "sml" for band in "xy" for site in range(6)}
    strata = plan_strata(cells, 6)
    assert {stratum.name: stratum.clips for stratum in strata} == {"s": 120, "m": 120, "l": 120}
    assert {stratum.drawn for stratum in strata} == {2}


def test_rare_sites_share_a_name() -> None:
    cells = {Cell("s", "x", f"{site:02}.org", "en"): 100 - site for site in range(20)}
    strata = {stratum.name: stratum.clips for stratum in plan_strata(cells, 100)}
    assert len(strata) == 9
    assert strata[f"s, x, {OTHER}, en"] == sum(100 - site for site in range(8, 20))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_layer_without_clips_has_no_strata(size: int) -> None:
    assert plan_strata({}, size) == []
