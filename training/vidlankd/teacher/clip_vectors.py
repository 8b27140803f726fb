"""Vectors of the clips of a global batch: from the video tower to the loss, and the loss's gradients back.

Each rank computes its own clips' and they are gathered. Where a rank's share does not fit through the tower at once, it
is computed without gradients first, and once more, part by part and with the same dropout, to carry the gradients of
the loss (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup").

Shapes: B rows of this rank, N of the global batch, P of a part, T rows of features, D their width, H width of vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from training.engine.device import to_device
from training.engine.distributed import Ranks, gather_rows
from training.engine.precision import Precision
from training.engine.random_state import random_state, replay_random_state
from training.engine.sync_gradients import synced_if, wrap_ddp
from training.models.vidlankd.feature_tower import FeatureTower
from training.models.vidlankd.text_batch import ClipTextBatch


class ClipVectors:
    """One rank's side of it: `forward`, then backward of whatever loss, then `backward`."""

    def __init__(self, tower: FeatureTower | None, hidden: int, precision: Precision, ranks: Ranks) -> None:
        """Join the tower with the other ranks', where it is trained.

        Args:
            tower: on this rank's device; None: no loss looks at clips, and their vectors are zeros.
            hidden: width of the vectors.
            precision: arithmetic of the tower.
            ranks: who takes part.
        """
        self.trains: bool = tower is not None and not tower.frozen
        """Whether gradients are carried back."""
        self._plain: nn.Module | None = tower
        self._joined = wrap_ddp(tower, ranks) if tower is not None and self.trains else tower
        self._hidden, self._precision, self._ranks = hidden, precision, ranks
        self._pending: _Pending | None = None

    def forward(self, batch: ClipTextBatch, parts: Sequence[slice]) -> torch.Tensor:
        """Vectors [N, H] of the global batch's clips: a leaf that takes up what losses want of each.

        Args:
            batch: this rank's share, of equal size on all ranks.
            parts: rows that go through the tower at once.
        """
        tower = self._joined if len(parts) == 1 else self._plain
        if tower is None:
            return torch.zeros(len(batch) * self._ranks.world_size, self._hidden, device=self._ranks.device)
        found, states = [], []
        for part in parts:
            states.append(random_state())
            with torch.set_grad_enabled(self.trains and len(parts) == 1):
                found.append(embed(tower, batch, self._precision, self._ranks.device, part))
        own_BH = torch.cat(found)
        source_BH = own_BH.detach().requires_grad_(self.trains)
        gathered_NH = gather_rows(source_BH, self._ranks)
        leaf_NH = gathered_NH.detach().requires_grad_(self.trains)
        self._pending = _Pending(batch, parts, states, own_BH, source_BH, gathered_NH, leaf_NH)
        return leaf_NH

    def backward(self) -> None:
        """Carry what the losses want of the vectors into the tower's parameters."""
        pending, self._pending = self._pending, None
        if pending is None or not self.trains:
            return
        torch.autograd.backward(pending.gathered_NH, pending.leaf_NH.grad)  # ranks exchange what they want
        gradient_BH = pending.source_BH.grad
        assert gradient_BH is not None and self._joined is not None
        if len(pending.parts) == 1:
            torch.autograd.backward(pending.own_BH, gradient_BH)
            return
        batch = pending.batch
        for part, state in zip(pending.parts, pending.states, strict=True):
            with synced_if(self._joined, last=part.stop == len(batch)):
                with replay_random_state(state):
                    vectors_PH = embed(self._joined, batch, self._precision, self._ranks.device, part)
                torch.autograd.backward(vectors_PH, gradient_BH[part])


def embed(
    tower: nn.Module, batch: ClipTextBatch, precision: Precision, device: torch.device, part: slice = slice(None)
) -> torch.Tensor:
    """Vectors [P, H] of some of a batch's clips."""
    with precision.autocast(device):
        vectors_PH: torch.Tensor = tower(
            to_device(batch.video_BTD[part], device), to_device(batch.frames_BT[part], device)
        )
    return vectors_PH


@dataclass(frozen=True)
class _Pending:
    """Vectors between forward and backward."""

    batch: ClipTextBatch
    parts: Sequence[slice]
    states: Sequence[Mapping[str, Any]]
    """torch's random state before each part."""
    own_BH: torch.Tensor
    """As the tower gave them; with its graph, unless there are several parts."""
    source_BH: torch.Tensor
    """The same, to be exchanged."""
    gathered_NH: torch.Tensor
    """Those of all ranks, differentiable through the exchange."""
    leaf_NH: torch.Tensor
    """The same, as losses see them."""
