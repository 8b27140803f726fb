"""The interface between the loop and a model with its loss: one training step, and a score on held-out data.

The loop knows optimizers, checkpoints, ranks and clocks; a task knows batches, towers and losses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class StepReport:
    """The losses and further numbers of one training step; equal on all ranks."""

    losses: Mapping[str, float]
    """Each term as its mean over the global batch; `total` is the weighted sum that was differentiated."""
    facts: Mapping[str, float]
    """Other numbers to log, such as temperature or the share of present texts."""


class TrainingTask(Protocol):
    """One kind of training: a model with its loss and its scores."""

    @property
    def module(self) -> nn.Module:
        """The module with everything that is trained."""
        ...

    @property
    def stored(self) -> nn.Module:
        """The model whose weights are saved; its folder is opened with them."""
        ...

    @property
    def best_by(self) -> str:
        """Name of the score of `evaluate` by which the best checkpoint is chosen; higher is better."""
        ...

    @property
    def unit(self) -> str:
        """Unit of a batch's rows in the log: ``clips`` or ``blocks``."""
        ...

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Plain values that rebuild the model; a run can't be resumed with others."""
        ...

    @property
    def precision(self) -> str:
        """Arithmetic of the model, ``bf16`` or ``fp32``; a run can't be resumed with another."""
        ...

    def is_new(self, parameter: str) -> bool:
        """Return True if the parameter is not among the weights that the model started from."""
        ...

    def step(self, batch: Any) -> StepReport:
        """Run forward and backward of one global step; afterwards every `.grad` is that of the global loss.

        Raises:
            NonFiniteLoss: a loss is infinite or not a number.
        """
        ...

    def after_step(self) -> None:
        """Update after each step of the optimizer, such as bounding the temperature."""
        ...

    def flops(self, batch: Any) -> float:
        """Return the floating point operations of a step on this rank's batch, recomputation not counted."""
        ...

    def evaluate(self) -> Mapping[str, float]:
        """Return scores on held-out data, equal on all ranks; empty if nothing is held out."""
        ...

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write the model into an existing, empty folder.

        Args:
            folder: to write into.
            weights: those of `stored` to write; empty: they are left out, as a checkpoint holds them elsewhere; None:
                as they are.
        """
        ...

    def restore(self, folder: Path) -> None:
        """Read what `save` wrote beside the weights, once those of `stored` were read."""
        ...


class Batches(Protocol):
    """Batches in a fixed order, which can be started at any step.

    The loop reads a batch's length (rows of this rank), `usable` (rows that could be read), `keys`, `skips` (unusable
    rows by reason) and `examples` (one of each reason); all else is between source and task.
    """

    @property
    def identity(self) -> str:
        """Hash of everything that must be the same when a run is resumed."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Global steps in an epoch as `loop.epochs` counts them."""
        ...

    def start(self, step: int) -> Iterator[Any]:
        """Yield this rank's batches from global step `step` on, epoch after epoch without end."""
        ...


class NonFiniteLoss(Exception):
    """A loss that is infinite or not a number; carries the keys of the batch."""

    def __init__(self, losses: Mapping[str, float], keys: list[str]) -> None:
        shown = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        super().__init__(f"loss is not finite ({shown}); rows of the batch: {' '.join(keys)}")
        self.keys = keys
