"""Which clips go, given pairs of roots and pairs of vectors."""

from __future__ import annotations

import numpy as np

from curation.selection.deduplication.duplicate_marks import KINDS, Marks, RootPair, Trees, mark_roots, mark_vectors
from curation.selection.deduplication.semantic.similar_pairs import Links


def trees(*roots: float, rank: list[int] | None = None) -> Trees:
    """Roots of these lengths in seconds, each with two children that halve it: clips 0, 1, 2 are of the first root."""
    root_of, begin, end = [], [], []
    for number, seconds in enumerate(roots):
        root_of += [3 * number] * 3
        begin += [0, 0, seconds / 2]
        end += [seconds, seconds / 2, seconds]
    ranks = np.arange(3 * len(roots)) if rank is None else np.repeat(rank, 3)
    return Trees(ranks, np.array(root_of), np.array(begin, float), np.array(end, float))


def pair(one: int, other: int, span: tuple[float, float], other_span: tuple[float, float]) -> RootPair:
    return RootPair("perceptual", one, other, *span, *other_span, 0.9)


def leaders_after(of: Trees, *pairs: RootPair) -> list[int]:
    marks = Marks.none(len(of.rank))
    mark_roots(marks, of, pairs, 0.7)
    marks.settle()
    return marks.leader.tolist()


def test_of_two_copies_the_one_of_the_worse_rank_goes_with_all_of_its_clips() -> None:
    whole = pair(0, 3, (0, 10), (0, 10))
    assert leaders_after(trees(10, 10), whole) == [0, 1, 2, 0, 0, 0]
    assert leaders_after(trees(10, 10, rank=[1, 0]), whole) == [3, 3, 3, 3, 4, 5]


def test_a_clip_that_was_cut_into_a_compilation_goes_whatever_its_rank() -> None:
    inside = pair(0, 3, (0, 10), (20, 30))
    assert leaders_after(trees(10, 60, rank=[0, 1]), inside) == [3, 3, 3, 3, 4, 5]


def test_of_two_videos_that_share_a_part_only_clips_of_that_part_go() -> None:
    second_half = pair(0, 3, (30, 60), (0, 30))
    assert leaders_after(trees(60, 60), second_half) == [0, 1, 2, 3, 0, 5]


def test_a_shared_intro_takes_nothing_away() -> None:
    intro = pair(0, 3, (0, 5), (0, 5))
    assert leaders_after(trees(30, 30), intro) == [0, 1, 2, 3, 4, 5]


def test_a_copy_of_a_copy_that_is_no_copy_of_the_one_that_stays_stays() -> None:
    chain = [pair(0, 3, (0, 10), (0, 10)), pair(3, 6, (0, 10), (0, 10))]
    assert leaders_after(trees(10, 10, 10), *chain) == [0, 1, 2, 0, 0, 0, 6, 7, 8]


def test_a_clip_goes_for_the_one_that_stays_if_its_container_goes() -> None:
    pairs = [pair(0, 3, (0, 10), (20, 30)), pair(3, 6, (0, 60), (0, 60))]
    assert leaders_after(trees(10, 60, 60, rank=[0, 2, 1]), *pairs) == [6, 6, 6, 6, 6, 6, 6, 7, 8]


def test_vectors_are_compared_among_the_clips_that_are_left() -> None:
    of = trees(10, 10)
    marks = Marks.none(6)
    mark_roots(marks, of, [pair(0, 3, (0, 10), (0, 10))], 0.7)
    links = Links(np.array([2, 4, 1]), np.array([1, 2, 0]), np.array([0.97, 0.99, 0.9], np.float32))
    mark_vectors(marks, of.rank, links, 0.95)
    assert marks.leader.tolist() == [0, 1, 1, 0, 0, 0]
    assert [KINDS[kind] for kind in marks.kind[[2, 3, 4, 5]]] == ["semantic", "perceptual", "perceptual", "perceptual"]
    assert marks.score[2] == np.float32(0.97)


def test_the_better_clip_stays_whichever_way_a_pair_is_written() -> None:
    marks = Marks.none(2)
    mark_vectors(marks, np.array([1, 0]), Links(np.array([1]), np.array([0]), np.ones(1, np.float32)), 0.95)
    assert marks.leader.tolist() == [1, 1]
