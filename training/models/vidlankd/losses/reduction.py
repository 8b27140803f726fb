"""How values become a loss: their sum, or their mean; and the arithmetic they are computed in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
import torch.nn.functional as F

Reduction = Literal["mean", "sum"]


def reduced(total: torch.Tensor, count: torch.Tensor | float, reduction: Reduction) -> torch.Tensor:
    """A sum of `count` values as it is, or their mean; the mean of none is 0."""
    return total if reduction == "sum" else total / torch.as_tensor(count).clamp(min=1e-12)


def fine(x: torch.Tensor) -> torch.Tensor:
    """At least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def unit(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Of length 1 along `dim`, at least float32; zeros stay zeros."""
    return F.normalize(fine(x), dim=dim)


def exactly(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which autocast changes no type."""
    return torch.autocast(device.type, enabled=False)
