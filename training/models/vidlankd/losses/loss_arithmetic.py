"""Arithmetic that all losses share: their precision, and how values become a sum or a mean."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
import torch.nn.functional as F

Reduction = Literal["mean", "sum"]


def reduce(total: torch.Tensor, count: torch.Tensor | float, reduction: Reduction) -> torch.Tensor:
    """Return `total`, a sum of `count` values, or their mean; the mean of no values is 0."""
    return total if reduction == "sum" else total / torch.as_tensor(count).clamp(min=1e-12)


def at_least_float32(x: torch.Tensor) -> torch.Tensor:
    """Convert to float32, or keep a finer type."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def normalize(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Scale to length 1 along `dim`, in float32 or finer; zeros stay zeros."""
    return F.normalize(at_least_float32(x), dim=dim)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which autocast changes no type."""
    return torch.autocast(device.type, enabled=False)
