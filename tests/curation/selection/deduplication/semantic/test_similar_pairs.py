"""Pairs of similar vectors, against the plain comparison of all with all."""

from __future__ import annotations

import numpy as np
import pytest

from curation.selection.deduplication.semantic.leader_rule import leaders, removed_shares
from curation.selection.deduplication.semantic.similar_pairs import LINKS, Links, similar_pairs


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def some_vectors(count: int = 300, width: int = 8) -> np.ndarray:
    return unit(np.random.default_rng(0).normal(size=(count, width)))


def as_set(links: Links) -> set[tuple[int, int]]:
    return set(zip(links.later.tolist(), links.earlier.tolist(), strict=True))


def by_hand(vectors: np.ndarray, floor: float, is_new: np.ndarray) -> set[tuple[int, int]]:
    return {
        (a, b)
        for a in range(len(vectors))
        for b in range(a)
        if vectors[a] @ vectors[b] >= floor and (is_new[a] or is_new[b])
    }


@pytest.mark.parametrize("new_from", [0, 250, 299])
def test_pairs_are_those_of_comparing_all_with_all(new_from: int) -> None:
    vectors, is_new = some_vectors(), np.arange(300) >= new_from
    assert as_set(similar_pairs(vectors, is_new, 0.9)) == by_hand(vectors, 0.9, is_new)


def test_nothing_is_compared_if_nothing_is_new() -> None:
    assert not len(similar_pairs(some_vectors(), np.zeros(300, bool), 0.1).later)


def test_links_of_a_large_group_stay_linear() -> None:
    crowd = unit(np.ones((2000, 8)) + 0.01 * np.random.default_rng(0).normal(size=(2000, 8)))
    links = similar_pairs(crowd, np.ones(2000, bool), 0.9)
    assert len(links.later) <= 2 * 2 * LINKS * 2000
    assert (leaders(links, 0.9, np.zeros(2000, bool)) == 0).all()


def test_vectors_that_repeat_others_share_their_fate() -> None:
    base = unit(np.array([[1, 0.0], [1, 0.2], [1, 0.2], [0, 1]]))
    found = leaders(similar_pairs(base, np.ones(4, bool), 0.9), 0.9, np.zeros(4, bool))
    assert found.tolist() == [0, 0, 0, 3]


def chain() -> Links:
    """0 ~ 1 ~ 2 ~ 3, and no other pair."""
    return Links(np.array([1, 2, 3]), np.array([0, 1, 2]), np.full(3, 0.95, np.float32))


def test_no_clip_goes_for_one_that_it_is_not_similar_to() -> None:
    assert leaders(chain(), 0.9, np.zeros(4, bool)).tolist() == [0, 0, 2, 2]


def test_a_clip_that_is_gone_leads_nobody() -> None:
    assert leaders(chain(), 0.9, np.array([True, False, False, False])).tolist() == [0, 1, 1, 3]


def test_of_several_that_stay_the_most_similar_one_leads() -> None:
    links = Links(np.array([2, 2]), np.array([0, 1]), np.array([0.91, 0.97], np.float32))
    assert leaders(links, 0.9, np.zeros(3, bool)).tolist() == [0, 1, 1]


def test_a_lower_threshold_takes_more_away() -> None:
    links = similar_pairs(some_vectors(), np.ones(300, bool), 0.7)
    shares = removed_shares(links, [0.7, 0.8, 0.9, 1.0], np.zeros(300, bool))
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.5 > shares[-1] == 0
