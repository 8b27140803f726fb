"""The gradients of one global step: micro-batches, counts over all ranks, backward, finite check, averaging.

Every task goes through `GlobalStep`, so the order is the same for all. A task returns, for each micro-batch, the *sum*
of each term over its rows, and how much the whole global batch counts for that term. This module does the rest:

1. For each micro-batch: divide each sum by its global count, weigh the terms, multiply by the number of ranks
   (gradients are averaged over the ranks afterwards), differentiate. Ranks exchange gradients in the last one only.
2. Add the terms over the ranks, and refuse a loss that is not finite.
3. Carry gradients back into embeddings that the whole global batch was compared with (`TwoPassEmbeddings`).
4. Average the gradients of parameters outside the wrapped module.

So neither micro-batches nor ranks change loss and gradients by more than rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import nn

from training.engine.parallel.distributed import Ranks, sum_over
from training.engine.parallel.sync_gradients import average_gradients, synced_if
from training.engine.random_state import RandomState, random_state, replay_random_state
from training.engine.training_task import NonFiniteLoss, StepReport

P = TypeVar("P")
"""A micro-batch, in whatever form the task splits its batch into."""

Terms = Mapping[str, torch.Tensor]
"""Scalars by name: for each term its sum over some rows."""


class EmbeddingsBackward(Protocol):
    """Embeddings that the terms were computed from as leaves, and that gradients are carried back into."""

    def backward(self) -> None:
        """Differentiate whatever produced the leaves, by the gradients that they have collected."""
        ...


@dataclass(frozen=True)
class GlobalStep:
    """Turns the terms of micro-batches into the gradients of the global loss."""

    module: nn.Module
    """Everything that is trained."""
    ranks: Ranks
    weights: Mapping[str, float]
    """Weight of each term in the loss. A term without a weight is only reported, as a fact."""
    wrapped: nn.Module | None = None
    """Module of `wrap_ddp` that every micro-batch goes through; None if the terms go through none."""
    embeddings: EmbeddingsBackward | None = None
    """Embeddings that were computed before the terms."""
    outside: tuple[nn.Parameter, ...] = ()
    """Trained parameters outside every wrapped module."""

    def counts(self, mine: Mapping[str, float | torch.Tensor]) -> dict[str, torch.Tensor]:
        """Add this rank's counts over all ranks: what the mean of each term divides by, at least 1; collective."""
        values = [torch.as_tensor(count, dtype=torch.float64, device=self.ranks.device) for count in mine.values()]
        summed = sum_over(torch.stack(values), self.ranks).clamp(min=1).float()
        return dict(zip(mine, summed, strict=True))

    def run(
        self,
        parts: Sequence[P],
        terms: Callable[[P], Terms],
        counts: Mapping[str, torch.Tensor],
        keys: list[str],
        facts: Mapping[str, torch.Tensor] | None = None,
    ) -> StepReport:
        """Differentiate the global loss; afterwards every parameter's `.grad` is that of the whole global batch.

        Args:
            parts: micro-batches of this rank's share of the batch.
            terms: returns the terms of one of them, each summed over its rows; those of absent counts are divided
                already, so that they add up over ranks to the mean.
            counts: see `counts`.
            keys: names of this rank's rows, for the message.
            facts: other scalars to report, equal on all ranks; they are fetched from the device with the terms.

        Returns:
            Each term as its mean over the global batch, with `total` among the losses.

        Raises:
            NonFiniteLoss: a term is infinite or not a number, on all ranks alike; no gradient is left.
        """
        sums: dict[str, torch.Tensor] = {}
        for number, part in enumerate(parts, start=1):
            with synced_if(self.wrapped, last=number == len(parts)):
                found = terms(part)
                self._differentiate({name: _mean(name, value, counts) for name, value in found.items()})
            sums = {name: sums[name] + value.detach() if sums else value.detach() for name, value in found.items()}
        report = self._report({name: _mean(name, value, counts) for name, value in sums.items()}, keys, facts or {})
        if self.embeddings is not None:
            self.embeddings.backward()
        for parameter in self.outside:
            average_gradients(parameter, self.ranks)
        return report

    def _differentiate(self, means: Terms) -> None:
        weighted = [self.weights[name] * value for name, value in means.items() if name in self.weights]
        (torch.stack(weighted).sum() * self.ranks.world_size).backward()

    def _report(self, means: Terms, keys: list[str], given: Terms) -> StepReport:
        summed = sum_over(torch.stack(list(means.values())), self.ranks)
        others = [value.detach().to(summed.device, torch.float64) for value in given.values()]
        fetched = torch.cat((summed.double(), torch.stack(others))) if others else summed
        values = dict(zip((*means, *given), fetched.tolist(), strict=True))
        losses = {name: value for name, value in values.items() if name in self.weights}
        if not all(map(math.isfinite, losses.values())):
            self.module.zero_grad(set_to_none=True)
            raise NonFiniteLoss(losses, keys)
        total = sum(self.weights[name] * value for name, value in losses.items())
        facts = {name: value for name, value in values.items() if name not in self.weights}
        return StepReport({**losses, "total": total}, facts)


class TwoPassEmbeddings(Generic[P]):
    """Embeddings of a rank's share of the batch, computed before a loss that couples all rows of the global batch.

    The loss is taken over leaves, and `backward` carries their gradients into the module. If the share does not fit
    through the module at once, it is computed without gradients first and once more, micro-batch by micro-batch and
    with the same dropout, in the backward pass (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under
    Memory Limited Setup").
    """

    def __init__(
        self, plain: nn.Module, wrapped: nn.Module, embed: Callable[[nn.Module, P], tuple[torch.Tensor, ...]]
    ) -> None:
        """Set up both forms of one module.

        Args:
            plain: the module itself.
            wrapped: the same of `wrap_ddp`.
            embed: returns the embeddings of a micro-batch, each with its rows in dimension 0.
        """
        self._plain, self._wrapped, self._embed = plain, wrapped, embed
        self._pending: _Pending[P] | None = None

    def forward(self, parts: Sequence[P]) -> tuple[torch.Tensor, ...]:
        """Return the embeddings of all micro-batches, in order, as leaves that collect gradients."""
        once = len(parts) == 1
        outputs, states = [], []
        for part in parts:
            states.append(random_state())
            with torch.set_grad_enabled(once):
                outputs.append(self._embed(self._wrapped if once else self._plain, part))
        leaves = tuple(torch.cat(same).detach().requires_grad_() for same in zip(*outputs, strict=True))
        self._pending = _Pending(parts, states, outputs, leaves)
        return leaves

    def backward(self) -> None:
        """Carry the gradients of the leaves into the module's parameters; ranks exchange them in the last part."""
        pending, self._pending = self._pending, None
        assert pending is not None, "forward comes first"
        begin = 0
        for part, state, outputs in zip(pending.parts, pending.states, pending.outputs, strict=True):
            rows = slice(begin, begin + len(outputs[0]))
            begin = rows.stop
            with synced_if(self._wrapped, last=part is pending.parts[-1]):
                if len(pending.parts) > 1:
                    with replay_random_state(state):  # dropout must be the same in both passes
                        outputs = self._embed(self._wrapped, part)
                gradients = [_gradient(leaf, rows) for leaf in pending.leaves]
                torch.autograd.backward(outputs, gradients)


@dataclass(frozen=True)
class _Pending(Generic[P]):
    """Embeddings between forward and backward."""

    parts: Sequence[P]
    states: Sequence[RandomState]
    """torch's random state before each part."""
    outputs: Sequence[tuple[torch.Tensor, ...]]
    """Embeddings of each part; with their graph if there is only one."""
    leaves: tuple[torch.Tensor, ...]


def _mean(name: str, value: torch.Tensor, counts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return value / counts[name] if name in counts else value


def _gradient(leaf: torch.Tensor, rows: slice) -> torch.Tensor:
    """Return the loss's gradient of these rows; zeros if the loss did not depend on the leaf."""
    return torch.zeros_like(leaf[rows]) if leaf.grad is None else leaf.grad[rows]
