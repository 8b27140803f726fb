"""Selection of the teacher's token vectors for CRD's queue: all of the first batches, then one random token per block.

All vectors are taken until the queue is full. After that, one token per row is drawn for the whole global batch, from
the seed and the number of the step. The queue's content therefore depends neither on ranks nor on micro-batches, and a
resumed run continues exactly.

Shapes: B rows, L tokens, G width of the teacher.
"""

from __future__ import annotations

import numpy as np
import torch

from training.engine.parallel.distributed import Ranks, gather_plain
from training.models.vidlankd.losses import TokenQueue


class QueueSampler:
    """Collects the vectors of a step, part by part, and pushes those of all ranks into the queue afterwards."""

    def __init__(self, queue: TokenQueue, ranks: Ranks, seed: int) -> None:
        """Sample for `queue`, which is equal on every rank; `seed` decides the draws."""
        self._queue, self._ranks, self._seed = queue, ranks, seed
        self._draws_B = torch.zeros(0)
        self._collected: list[torch.Tensor] = []
        self._filling = True

    def begin(self, step: int, rows: int, filling: bool) -> None:
        """Begin step `step` with `rows` rows on each rank; `filling` takes every token."""
        draws = np.random.default_rng([self._seed, step]).random(self._ranks.world_size * rows)
        own = draws[self._ranks.rank * rows : (self._ranks.rank + 1) * rows]
        self._draws_B, self._collected, self._filling = torch.from_numpy(own), [], filling

    def collect(self, states_BLG: torch.Tensor, special_BL: torch.Tensor) -> None:
        """Select tokens of the next rows; specials and padding are never selected.

        Args:
            states_BLG: the teacher's states, already rounded to float16.
            special_BL: true for [CLS], [SEP] and padding; on the CPU.
        """
        draws_B, self._draws_B = self._draws_B[: len(states_BLG)], self._draws_B[len(states_BLG) :]
        if self._filling:
            kept_BL = ~special_BL
        else:
            nth_B = (draws_B * (~special_BL).sum(1)).long() + 1  # draws are in [0, 1)
            kept_BL = ~special_BL & ((~special_BL).cumsum(1) == nth_B[:, None])
            states_BLG = states_BLG[torch.arange(len(kept_BL)), kept_BL.long().argmax(1)][:, None]
            kept_BL = kept_BL.any(1, keepdim=True)
        kept_BL = kept_BL.to(states_BLG.device)
        self._collected.append((states_BLG * kept_BL[..., None]).flatten(0, 1).half())

    def push(self) -> None:
        """Push the step's vectors into the queue, in the order of ranks; rows of zeros were not selected."""
        vectors_BG = gather_plain(torch.cat(self._collected), self._ranks)
        self._queue.push(vectors_BG[vectors_BG.any(1)])
        self._collected = []
