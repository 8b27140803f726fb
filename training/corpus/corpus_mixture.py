"""Order in which blocks of several corpora are read: a pure function of the position, without state.

The first corpus's share of the first p positions is `floor(p · share)`; each further corpus takes its share of what the
corpora before it left. Shares are therefore exact to within one row at every position, not only on average, and any
position can be computed without counting from the start. Within a corpus each epoch is a permutation of all its blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BlockPosition:
    """The block that is read at a position of the run."""

    corpus: int
    epoch: int
    """Number of times that all blocks of this corpus were read before."""
    number: int
    """Number of the block in the corpus."""


class CorpusMixture:
    """The order of reading one or more corpora."""

    def __init__(self, blocks: Sequence[int], weights: Sequence[float], seed: int) -> None:
        """Plan the order.

        Args:
            blocks: number of blocks in each corpus, at least 1.
            weights: relative amount read of each, above 0; need not add up to 1.
            seed: seed of the run.
        """
        exact = [Fraction(weight) for weight in weights]
        self._blocks, self._seed = list(blocks), seed
        self._shares = [weight / sum(exact[number:]) for number, weight in enumerate(exact)]
        self._order = lru_cache(2 * len(self._blocks))(self._permutation)

    def block_at(self, position: int) -> BlockPosition:
        """Return the block to read at `position` (step · batch + row, from 0)."""
        left = position
        for corpus, share in enumerate(self._shares):
            taken = _floor(share, left)
            if _floor(share, left + 1) > taken:
                epoch, index = divmod(taken, self._blocks[corpus])
                return BlockPosition(corpus, epoch, int(self._order(corpus, epoch)[index]))
            left -= taken
        raise AssertionError("the last share is 1")

    def _permutation(self, corpus: int, epoch: int) -> NDArray[np.uint32]:
        rng = np.random.default_rng([self._seed, corpus, epoch])
        return rng.permutation(np.arange(self._blocks[corpus], dtype=np.uint32))


def _floor(share: Fraction, count: int) -> int:
    return count * share.numerator // share.denominator
