"""Limits over all clips agree with the plain way to say what they keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.selection.choosing.limits import Mask, at_most, drawn, largest, one_of_each

clip = st.tuples(st.booleans(), st.sampled_from([0.0, 1.0, 1.5, -2.0, math.nan]), st.integers(0, 3))
clips = st.lists(clip, max_size=12)


def arrays(rows: list[tuple[bool, float, int]], draw: st.DataObject) -> tuple[Mask, np.ndarray, np.ndarray, np.ndarray]:
    """The clips to choose among, their values, small whole numbers, and distinct ties."""
    ties = draw.draw(st.permutations(range(len(rows))))
    among, values, numbers = ([row[place] for row in rows] for place in range(3))
    return np.array(among, bool), np.array(values, float), np.array(numbers, np.uint64), np.array(ties, np.uint64)


@given(clips, st.integers(1, 14), st.data())
def test_the_largest_are_the_first_in_order_and_ties_are_broken_by_hash(
    rows: list[tuple[bool, float, int]], number: int, draw: st.DataObject
) -> None:
    among, values, _, ties = arrays(rows, draw)
    ranked = sorted((-values[n], ties[n], n) for n in range(len(rows)) if among[n] and not math.isnan(values[n]))
    assert set(np.flatnonzero(largest(values, ties, among, number))) == {n for _, _, n in ranked[:number]}


@given(clips, st.integers(1, 4), st.data())
def test_each_value_keeps_those_with_the_lowest_hashes(
    rows: list[tuple[bool, float, int]], most: int, draw: st.DataObject
) -> None:
    among, _, numbers, ties = arrays(rows, draw)
    wanted: set[int] = set()
    for value in set(numbers.tolist()):
        of_value = sorted((ties[n], n) for n in range(len(rows)) if among[n] and numbers[n] == value)
        wanted |= {n for _, n in of_value[:most]}
    assert set(np.flatnonzero(at_most(numbers, ties, among, most))) == wanted


@given(clips, st.data())
def test_one_clip_of_each_group_stays_the_first_that_is_left(
    rows: list[tuple[bool, float, int]], draw: st.DataObject
) -> None:
    among, _, groups, ties = arrays(rows, draw)
    places = np.array(draw.draw(st.permutations(range(len(rows)))), np.int64)
    kept = one_of_each(places, groups[places].astype(np.int64), ties[places].astype(np.int64), among)
    for group in set(groups.tolist()):
        left = [n for n in range(len(rows)) if among[n] and groups[n] == group]
        assert [n for n in left if kept[n]] == ([min(left, key=lambda n: ties[n])] if left else [])


def test_clips_in_no_group_stay() -> None:
    among = np.array([True, True, False, True])
    kept = one_of_each(np.array([0, 1]), np.array([5, 5]), np.array([1, 0]), among)
    assert kept.tolist() == [False, True, False, True]


@given(clips, st.integers(1, 14), st.data())
def test_so_many_units_are_drawn_with_all_their_clips(
    rows: list[tuple[bool, float, int]], number: int, draw: st.DataObject
) -> None:
    among, _, units, _ = arrays(rows, draw)
    lowest = sorted({units[n] for n in range(len(rows)) if among[n]})[:number]
    wanted = {n for n in range(len(rows)) if among[n] and units[n] in lowest}
    assert set(np.flatnonzero(drawn(units, among, number, None))) == wanted


@pytest.mark.parametrize("share", [1e-30, 0.1, 0.5, 0.999, 1.0])
def test_a_share_is_a_share_of_hashes_whatever_other_clips_there_are(share: float) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 20_000, np.uint64)
    hashes[:2] = 2**64 - 1
    among = np.ones(len(hashes), bool)
    found = drawn(hashes, among, None, share)
    assert found.mean() == pytest.approx(share, abs=0.02)
    assert share < 1 or found.all()
    assert np.array_equal(drawn(hashes[:500], among[:500], None, share), found[:500])
