"""The norm of all gradients together, and its bound, for parameters that are whole or sharded."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.distributed.tensor import DTensor


def clip_gradients(parameters: Iterable[nn.Parameter], bound: float | None) -> float:
    """Scale the gradients down to a norm of at most `bound`; return their norm before, equal on all ranks.

    At least one parameter has a gradient. A norm that is not finite scales nothing. Collective if some parameters are
    sharded.

    Args:
        parameters: whole ones have the same gradients on every rank; those of shards are of the rank's own part.
        bound: highest norm; None: gradients are only measured.
    """
    held = [parameter for parameter in parameters if parameter.grad is not None]
    split = ([p for p in held if isinstance(p.grad, DTensor) == sharded] for sharded in (False, True))
    kinds = [of_kind for of_kind in split if of_kind]
    norms = [_norm(of_kind) for of_kind in kinds]
    norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
    if bound is not None and math.isfinite(float(norm)):
        for of_kind in kinds:
            torch.nn.utils.clip_grads_with_norm_(of_kind, bound, norm)
    return float(norm)


def _norm(parameters: list[nn.Parameter]) -> torch.Tensor:
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
