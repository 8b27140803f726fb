"""In which order blocks of several corpora are read: a pure function of the position, without any state.

A corpus's share of the first p positions is `floor(p · share)` of those that the corpora before it left over: shares
are kept to within one row at every moment, not only on average, and the place of any row is found without counting.
Within a corpus each epoch is a permutation of all its blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Place:
    """What lies at a position."""

    corpus: int
    epoch: int
    """Of this corpus: how often all its blocks were read before."""
    number: int
    """The block's number in the corpus."""


class Mixture:
    """The order of reading one or more corpora."""

    def __init__(self, blocks: Sequence[int], weights: Sequence[float], seed: int) -> None:
        """Plan the order.

        Args:
            blocks: how many blocks each corpus has, at least 1.
            weights: how much of each is read, above 0; need not add up to 1.
            seed: of the run.
        """
        exact = [Fraction(weight) for weight in weights]
        self._blocks, self._seed = list(blocks), seed
        self._shares = [weight / sum(exact[number:]) for number, weight in enumerate(exact)]
        self._order = lru_cache(2 * len(self._blocks))(self._permuted)

    def place(self, position: int) -> Place:
        """The block to read at `position` (step · batch + row, from 0)."""
        left = position
        for corpus, share in enumerate(self._shares):
            taken = _floor(share, left)
            if _floor(share, left + 1) > taken:
                epoch, index = divmod(taken, self._blocks[corpus])
                return Place(corpus, epoch, int(self._order(corpus, epoch)[index]))
            left -= taken
        raise AssertionError("the last share is 1")

    def _permuted(self, corpus: int, epoch: int) -> NDArray[np.uint32]:
        rng = np.random.default_rng([self._seed, corpus, epoch])
        return rng.permutation(np.arange(self._blocks[corpus], dtype=np.uint32))


def _floor(share: Fraction, count: int) -> int:
    return count * share.numerator // share.denominator
