"""Vectors of the clips of a global batch: from the video tower to the loss, and the loss's gradients back.

Each rank computes the vectors of its own clips, and they are gathered over the ranks. `TwoPassEmbeddings` of the engine
computes them in micro-batches if a rank's share does not fit through the tower at once.

Shapes: B rows of this rank, N of the global batch, P of a part, T rows of features, D their width, H width of vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from training.engine.global_step import TwoPassEmbeddings
from training.engine.parallel.distributed import Ranks, gather_rows, to_device
from training.engine.parallel.sync_gradients import wrap_ddp
from training.engine.precision import Precision
from training.models.vidlankd.feature_tower import FeatureTower
from training.models.vidlankd.text_batch import ClipTextBatch

_Part = tuple[ClipTextBatch, slice]
"""A batch, and the rows of it that go through the tower at once."""


class ClipVectors:
    """The vectors of one step: `forward`, then backward of a loss over them, then `backward`."""

    def __init__(self, tower: FeatureTower | None, hidden: int, precision: Precision, ranks: Ranks) -> None:
        """Connect the tower with those of the other ranks, if it is trained.

        Args:
            tower: on this rank's device; None: no loss looks at clips, and their vectors are zeros.
            hidden: width of the vectors.
            precision: precision of the tower.
            ranks: the processes that take part.
        """
        self.trains: bool = tower is not None and not tower.frozen
        """True if gradients are carried back."""
        self._tower, self._hidden, self._precision, self._ranks = tower, hidden, precision, ranks
        self._embeddings: TwoPassEmbeddings[_Part] | None = None
        if tower is not None and self.trains:
            self._embeddings = TwoPassEmbeddings(tower, wrap_ddp(tower, ranks), self._embed)
        self._gathered_NH = self._leaf_NH = torch.zeros(0)

    def forward(self, batch: ClipTextBatch, parts: Sequence[slice]) -> torch.Tensor:
        """Return the vectors [N, H] of the global batch's clips, as a leaf that collects gradients.

        Args:
            batch: this rank's share, of equal size on all ranks.
            parts: rows that go through the tower at once.
        """
        if self._tower is None:
            return torch.zeros(len(batch) * self._ranks.world_size, self._hidden, device=self._ranks.device)
        if self._embeddings is None:
            with torch.no_grad():
                own_BH = torch.cat([self._embed(self._tower, (batch, part))[0] for part in parts])
            return gather_rows(own_BH, self._ranks)
        (own_BH,) = self._embeddings.forward([(batch, part) for part in parts])
        self._gathered_NH = gather_rows(own_BH, self._ranks)
        self._leaf_NH = self._gathered_NH.detach().requires_grad_()
        return self._leaf_NH

    def backward(self) -> None:
        """Carry the gradients of the vectors into the tower's parameters."""
        if self._embeddings is None:
            return
        torch.autograd.backward(self._gathered_NH, self._leaf_NH.grad)  # ranks exchange the gradients of their clips
        self._embeddings.backward()
        self._gathered_NH = self._leaf_NH = torch.zeros(0)  # frees the graph

    def _embed(self, tower: nn.Module, part: _Part) -> tuple[torch.Tensor, ...]:
        batch, rows = part
        return (embed(tower, batch, self._precision, self._ranks.device, rows),)


def embed(
    tower: nn.Module, batch: ClipTextBatch, precision: Precision, device: torch.device, part: slice = slice(None)
) -> torch.Tensor:
    """Return the vectors [P, H] of some of a batch's clips."""
    with precision.autocast(device):
        vectors_PH: torch.Tensor = tower(
            to_device(batch.video_BTD[part], device), to_device(batch.frames_BT[part], device)
        )
    return vectors_PH
