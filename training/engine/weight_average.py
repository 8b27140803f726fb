"""An exponential moving average of the weights, updated after each step (Polyak and Juditsky 1992).

The averages are kept beside the optimizer's moments, so a checkpoint has them, sharded as these are, and a resumed run
goes on with them exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

_KEY: Final = "average"
"""Name among a parameter's moments."""


class WeightAverage:
    """The averages of an optimizer's parameters: ``decay * average + (1 - decay) * weight`` after each step.

    A parameter's average begins as its value after the first step that changes it; what never had a gradient has none.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, decay: float) -> None:
        """Take over the averages in the optimizer's state, if a checkpoint brought some.

        Args:
            optimizer: holds the averages in its state.
            decay: share of the average that is kept in a step.
        """
        self._optimizer = optimizer
        self._update = get_ema_multi_avg_fn(decay)

    @property
    def is_empty(self) -> bool:
        """True before the first step."""
        return not self._averaged()

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        for group in self._optimizer.param_groups:  # within a group all are sharded or none is, as a kernel needs it
            stepped = [(self._optimizer.state[p], p.detach()) for p in group["params"] if self._optimizer.state.get(p)]
            later = [(moments[_KEY], parameter) for moments, parameter in stepped if _KEY in moments]
            if later:
                self._update([average for average, _ in later], [parameter for _, parameter in later], 0)
            for moments, parameter in stepped:
                if _KEY not in moments:
                    moments[_KEY] = parameter.clone()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averages in the place of the weights while the block runs."""
        averaged = self._averaged()
        kept = [parameter.detach().clone() for parameter in averaged]
        with torch.no_grad():
            for parameter in averaged:
                parameter.copy_(self._optimizer.state[parameter][_KEY])
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(averaged, kept, strict=True):
                    parameter.copy_(value)

    def _averaged(self) -> list[torch.Tensor]:
        """Return the parameters that have an average."""
        parameters = (parameter for group in self._optimizer.param_groups for parameter in group["params"])
        return [parameter for parameter in parameters if _KEY in self._optimizer.state.get(parameter, {})]
