"""What the loop asks of a model and its loss: one training step, and a score on held-out data.

The loop knows optimizers, checkpoints, ranks and clocks; a task knows batches, towers and losses. Losses and report
come apart: the first are differentiated, the second only logged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class StepReport:
    """What one training step says of itself; equal on all ranks."""

    losses: Mapping[str, float]
    """Each term, as the mean over the global batch; `total` is what was differentiated."""
    facts: Mapping[str, float]
    """What else is worth a column: temperature, share of present texts."""


class TrainingTask(Protocol):
    """One kind of training."""

    @property
    def module(self) -> nn.Module:
        """Everything that is trained."""
        ...

    @property
    def best_by(self) -> str:
        """The score of `evaluate` that tells the best checkpoint; higher is better."""
        ...

    @property
    def unit(self) -> str:
        """What a batch is counted in, for people: ``clips`` or ``blocks``."""
        ...

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Plain values that rebuild the model: a run is not resumed with others."""
        ...

    def is_new(self, parameter: str) -> bool:
        """Whether a parameter was not there in the weights the model started from."""
        ...

    def step(self, batch: Any) -> StepReport:
        """Forward and backward of one global step: after it every parameter's `.grad` is that of the global loss.

        Raises:
            NonFiniteLoss: a loss is no number.
        """
        ...

    def after_step(self) -> None:
        """What follows each step of the optimizer, such as the bound of the temperature."""
        ...

    def flops(self, batch: Any) -> float:
        """Floating point operations of forward and backward of this rank's batch, recomputation not counted."""
        ...

    def evaluate(self) -> Mapping[str, float]:
        """Scores on held-out data, equal on all ranks; empty where there is none."""
        ...

    def save(self, folder: Path) -> None:
        """Write what is trained into an existing, empty folder."""
        ...

    def restore(self, folder: Path) -> None:
        """Read back what `save` wrote."""
        ...


class Batches(Protocol):
    """Batches in their order, with a position that can be returned to.

    A batch has a length (clips of this rank), `usable` (how many of them could be read), `keys`, and of those that
    could not `skips` (a count by reason) and `examples` (one of each); the rest is between source and task.
    """

    @property
    def identity(self) -> str:
        """Hash over what a resumed run must find unchanged."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Global steps in an epoch; the last batch is filled up with clips of weight 0."""
        ...

    def start(self, step: int) -> Iterator[Any]:
        """This rank's batches from global step `step` on, epoch after epoch without end."""
        ...


class NonFiniteLoss(Exception):
    """A loss is infinite or no number; carries the keys of the batch."""

    def __init__(self, losses: Mapping[str, float], keys: list[str]) -> None:
        shown = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        super().__init__(f"loss is not finite ({shown}); rows of the batch: {' '.join(keys)}")
        self.keys = keys
