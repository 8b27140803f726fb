"""The rule that decides which clips stay: every clip that goes is directly similar to one that stays. Pure.

Clips are visited in order of rank, the best first. A clip goes if it is similar to a clip that stays, otherwise it
stays. There are no chains: A ~ B and B ~ C never removes C for the sake of A unless A ~ C, which connected components
would do.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation.selection.deduplication.semantic.cluster_tree import Integers
from curation.selection.deduplication.semantic.similar_pairs import Links

SAME: Final = 1 - 1e-6
"""Cosine from which two vectors count as equal: what one of them is similar to, the other one is too."""


def leaders(links: Links, threshold: float, gone_N: NDArray[np.bool_]) -> Integers:
    """Return for each clip the clip that stays in its place [N]; its own number if it stays itself.

    Args:
        links: pairs of clips, numbered by rank, the best first.
        threshold: least similarity that counts.
        gone_N: clips that have been removed for another reason; they keep their own number, and lead nobody.
    """
    counts = (links.similarity >= threshold) & ~gone_N[links.later] & ~gone_N[links.earlier]
    later, earlier, similarity = (column[counts] for column in links)
    leader_N = np.arange(len(gone_N))
    open_N = np.zeros(len(gone_N), np.bool_)
    open_N[later] = True
    order = np.lexsort((earlier, -similarity, later))
    later, earlier, similarity = later[order], earlier[order], similarity[order]
    while len(later):
        known = ~open_N[earlier]
        goes = known & ((leader_N[earlier] == earlier) | (similarity >= SAME))
        rows, place = np.unique(later[goes], return_index=True)  # the most similar one: links are in this order
        leader_N[rows] = leader_N[earlier[goes][place]]
        open_N[rows] = False
        undecided = open_N[later] & ~known  # what is decided in this round is looked at in the next one
        stays = np.setdiff1d(later[open_N[later]], later[undecided])
        open_N[stays] = False
        later, earlier, similarity = later[undecided], earlier[undecided], similarity[undecided]
    return leader_N


def removed_shares(links: Links, thresholds: list[float], gone_N: NDArray[np.bool_]) -> list[float]:
    """Return the share of clips that go at each threshold, 0 to 1."""
    numbers = np.arange(len(gone_N))
    return [float((leaders(links, one, gone_N) != numbers).sum()) / max(len(numbers), 1) for one in thresholds]
