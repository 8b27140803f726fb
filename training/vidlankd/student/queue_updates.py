"""Which teacher's token vectors go into CRD's queue: all of the first batches until it is full, then one a block.

The one is drawn from the seed and the number of the step for all rows of the global batch at once, so neither the
number of ranks nor micro-batches change what the queue holds, and a resumed run goes on as it would have.

Shapes: B rows, L tokens, G width of the teacher.
"""

from __future__ import annotations

import numpy as np
import torch

from training.engine.distributed import Ranks, gather_plain
from training.models.vidlankd.losses import TokenQueue


class QueueFeed:
    """Collects the vectors of a step, part by part, and puts those of all ranks into the queue after it."""

    def __init__(self, queue: TokenQueue, ranks: Ranks, seed: int) -> None:
        """Feed `queue`, which every rank holds alike; `seed` decides the draws."""
        self._queue, self._ranks, self._seed = queue, ranks, seed
        self._draws_B = torch.zeros(0)
        self._taken: list[torch.Tensor] = []
        self._filling = True

    def begin(self, step: int, rows: int, filling: bool) -> None:
        """Begin the step of that number, with so many rows on each rank."""
        draws = np.random.default_rng([self._seed, step]).random(self._ranks.world_size * rows)
        mine = draws[self._ranks.rank * rows : (self._ranks.rank + 1) * rows]
        self._draws_B, self._taken, self._filling = torch.from_numpy(mine), [], filling

    def take(self, states_BLG: torch.Tensor, special_BL: torch.Tensor) -> None:
        """Take of the next rows what is wanted: no specials and no padding.

        Args:
            states_BLG: the teacher's, rounded to float16 already.
            special_BL: true for [CLS], [SEP] and padding; on the processor.
        """
        draws_B, self._draws_B = self._draws_B[: len(states_BLG)], self._draws_B[len(states_BLG) :]
        if self._filling:
            kept_BL = ~special_BL
        else:
            place_B = (draws_B * (~special_BL).sum(1)).long() + 1  # draws lie in [0, 1)
            kept_BL = ~special_BL & ((~special_BL).cumsum(1) == place_B[:, None])
            states_BLG = states_BLG[torch.arange(len(kept_BL)), kept_BL.long().argmax(1)][:, None]
            kept_BL = kept_BL.any(1, keepdim=True)
        kept_BL = kept_BL.to(states_BLG.device)
        self._taken.append((states_BLG * kept_BL[..., None]).flatten(0, 1).half())

    def push(self) -> None:
        """Put the step's vectors into the queue, those of all ranks in their order; what was left out is zeros."""
        vectors_BG = gather_plain(torch.cat(self._taken), self._ranks)
        self._queue.push(vectors_BG[vectors_BG.any(1)])
        self._taken = []
