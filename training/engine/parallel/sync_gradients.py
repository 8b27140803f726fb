"""Gradients over the ranks: DistributedDataParallel around what it sees, an all-reduce for what it does not."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.engine.parallel.distributed import Ranks, sum_over


def wrap_ddp(module: nn.Module, ranks: Ranks) -> nn.Module:
    """Return the module wrapped so that its gradients are averaged over the ranks; itself if there is one rank.

    The module is on this rank's device, and its forward pass uses every parameter that is trained.
    """
    if ranks.world_size == 1:
        return module
    on = [ranks.device.index] if ranks.device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=on, gradient_as_bucket_view=True)


def average_gradients(parameter: nn.Parameter, ranks: Ranks) -> None:
    """Average the gradient of a parameter that is outside the wrapped module over the ranks."""
    if parameter.grad is not None:
        parameter.grad.copy_(sum_over(parameter.grad, ranks) / ranks.world_size)


def synced_if(module: nn.Module | None, last: bool) -> AbstractContextManager[Any]:
    """Return a context in which the ranks exchange gradients only in the `last` micro-batch of a step.

    Sharded modules exchange them in each: gradients that wait are whole, and their memory is what sharding saves.
    """
    return module.no_sync() if isinstance(module, DistributedDataParallel) and not last else nullcontext()
