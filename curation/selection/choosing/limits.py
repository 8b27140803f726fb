"""Limits that look at all clips together: the largest values, a random part, so many of a value, one of a group. Pure.

N clips are arrays of N values. A tie value is a 64-bit hash of each clip's key: it orders clips at random, but always
in the same way.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Hashes = NDArray[np.uint64]
_HASHES: Final = 2**64


def largest(values_N: NDArray[np.float64], ties_N: Hashes, among_N: Mask, number: int) -> Mask:
    """Return the mask of the `number` clips with the largest values among some; NaN is never among them."""
    places = np.flatnonzero(among_N & ~np.isnan(values_N))
    if len(places) > number:
        order = np.lexsort((ties_N[places], -values_N[places]))
        places = places[order[:number]]
    return _mask(len(values_N), places)


def drawn(ties_N: Hashes, among_N: Mask, number: int | None, share: float | None) -> Mask:
    """Return the mask of the units with the lowest hashes among some: `number` of them, or a share of all hashes.

    Clips with equal hashes are one unit (the clips of one video, or one clip).
    """
    if share is not None:
        return among_N & (ties_N <= np.uint64(max(int(share * _HASHES), 1) - 1))
    units = np.unique(ties_N[among_N])
    assert number is not None
    return among_N if len(units) <= number else among_N & (ties_N <= units[number - 1])


def at_most(values_N: Hashes, ties_N: Hashes, among_N: Mask, most: int) -> Mask:
    """Return the mask of at most `most` clips of each value among some: those with the lowest ties."""
    places = np.flatnonzero(among_N)
    places = places[np.lexsort((ties_N[places], values_N[places]))]
    rank = _rank_in_runs(values_N[places])
    return _mask(len(values_N), places[rank < most])


def one_of_each(
    places_D: NDArray[np.int64], groups_D: NDArray[np.int64], order_D: NDArray[np.int64], among_N: Mask
) -> Mask:
    """Return the mask of the clips among some that are not duplicates of another one among them.

    Args:
        places_D: places of the D clips that are in groups, among all N.
        groups_D: number of the group of each.
        order_D: their order: the first that is among the others stays.
        among_N: the clips to choose from.
    """
    left = among_N[places_D]
    places, groups, order = places_D[left], groups_D[left], order_D[left]
    sorting = np.lexsort((order, groups))
    others = places[sorting][_rank_in_runs(groups[sorting]) > 0]
    return among_N & ~_mask(len(among_N), others)


def _rank_in_runs(values: NDArray[np.uint64] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many equal values stand directly before each value."""
    places = np.arange(len(values))
    starts = np.concatenate(([True], values[1:] != values[:-1])) if len(values) else np.zeros(0, bool)
    return places - np.maximum.accumulate(np.where(starts, places, 0)) if len(values) else places


def _mask(size: int, places: NDArray[np.int64]) -> Mask:
    mask = np.zeros(size, bool)
    mask[places] = True
    return mask
