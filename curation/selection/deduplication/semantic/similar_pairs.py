"""Pairs of similar vectors within one leaf of a cluster tree. Pure.

The number of pairs stays linear in the number of vectors: each vector keeps the links to the `LINKS` vectors of the
best rank and to the `LINKS` most similar ones. A group of thousands of equal clips needs no more: all of them are
linked to its best one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.selection.deduplication.semantic.cluster_tree import Floats, Integers

LINKS: Final = 8
_BLOCK: Final = 1024


class Links(NamedTuple):
    """Pairs of rows, one element a pair."""

    later: Integers
    """Row of the worse rank."""
    earlier: Integers
    """Row of the better rank."""
    similarity: Floats
    """Cosine, -1 to 1."""


def similar_pairs(vectors_ND: Floats, is_new_N: NDArray[np.bool_], floor: float) -> Links:
    """Return the pairs of rows whose cosine is at least `floor`, and of which at least one row is new.

    Args:
        vectors_ND: unit vectors, in order of rank, the best first.
        is_new_N: rows that have not been compared yet.
        floor: least cosine.
    """
    shown_N, links = _without_repeats(vectors_ND, is_new_N)
    shown_ND, new_N = vectors_ND[shown_N], is_new_N[shown_N]
    fresh = np.flatnonzero(new_N)
    for at in range(0, len(fresh), _BLOCK):
        rows = fresh[at : at + _BLOCK]
        similarity = shown_ND[rows] @ shown_ND.T
        one, other = np.nonzero(similarity >= floor)
        row = rows[one]
        once = (row != other) & (~new_N[other] | (other < row))
        row, other, value = row[once], other[once], similarity[one[once], other[once]]
        links.append(strongest(Links(np.maximum(row, other), np.minimum(row, other), value)))
    return _renumbered(links, shown_N)


def strongest(links: Links) -> Links:
    """Return for each later row the links to the `LINKS` best earlier rows, and to the `LINKS` most similar ones."""
    kept = np.zeros(len(links.later), np.bool_)
    for order in (np.lexsort((links.earlier, links.later)), np.lexsort((-links.similarity, links.later))):
        kept[order[_place_in_group(links.later[order]) < LINKS]] = True
    return Links(links.later[kept], links.earlier[kept], links.similarity[kept])


def _without_repeats(vectors_ND: Floats, is_new_N: NDArray[np.bool_]) -> tuple[Integers, list[Links]]:
    """Return the rows without those that repeat an earlier row bit for bit, and the links of the repeats.

    A row that is repeated by a new one counts as new.
    """
    if not len(vectors_ND):
        return np.empty(0, np.int64), []
    numbers = np.arange(len(vectors_ND))
    _, first, group = np.unique(_checksums(vectors_ND), return_index=True, return_inverse=True)
    origin = first[group]
    others = np.flatnonzero(origin != numbers)
    differ = others[(vectors_ND[others] != vectors_ND[origin[others]]).any(axis=1)]
    origin[differ] = differ  # equal checksums by chance
    repeats = np.flatnonzero((origin != numbers) & (is_new_N | is_new_N[origin]))
    ones = np.ones(len(repeats), np.float32)
    return np.flatnonzero(origin == numbers), [Links(-1 - repeats, -1 - origin[repeats], ones)]


def _checksums(vectors_ND: Floats) -> NDArray[np.uint64]:
    """Return a number for each row: equal rows have equal ones."""
    words = np.ascontiguousarray(vectors_ND).view(np.uint32)
    factors = np.random.default_rng(0).integers(0, 2**64, words.shape[1], dtype=np.uint64) | np.uint64(1)
    parts = [words[at : at + _BLOCK].astype(np.uint64) @ factors for at in range(0, len(words), _BLOCK)]
    return np.concatenate(parts)


def _renumbered(links: list[Links], shown_N: Integers) -> Links:
    """Join links; numbers of shown rows become numbers of all rows, negative numbers are those of all rows already."""
    if not links:
        return Links(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    later, earlier, similarity = (np.concatenate(column) for column in zip(*links, strict=True))
    return Links(_row(later, shown_N), _row(earlier, shown_N), np.minimum(similarity, np.float32(1)))


def _row(numbers: Integers, shown_N: Integers) -> Integers:
    return np.where(numbers < 0, -1 - numbers, shown_N[np.maximum(numbers, 0)])


def _place_in_group(sorted_groups: Integers) -> Integers:
    """Return the place of each element among those of equal value, from 0."""
    starts = np.flatnonzero(np.r_[True, sorted_groups[1:] != sorted_groups[:-1]][: len(sorted_groups)])
    sizes = np.diff(np.r_[starts, len(sorted_groups)])
    return np.arange(len(sorted_groups)) - np.repeat(starts, sizes)
