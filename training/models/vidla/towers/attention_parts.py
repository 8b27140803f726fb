"""The parts of an image tower's self-attention, whatever its modules are called.

A layer's own attention is computed from them (`training.models.vidla.video_tower`), and attention over time starts as a
copy of them (`training.models.vidla.temporal_attention`).

Shapes: D width of the tokens, H heads, A = H times the width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class AttentionParts:
    """Projections and normalisations of one self-attention."""

    norm: nn.Module
    """Normalisation of the tokens before the attention."""
    weight: torch.Tensor
    """Rows of all queries, then of all keys, then of all values, [3A, D]."""
    bias: torch.Tensor | None
    """The same of the bias, [3A]."""
    heads: int
    query_norm: nn.Module | None = None
    """Normalisation of each head's queries; None: there is none, and none of keys either."""
    key_norm: nn.Module | None = None
    """Normalisation of each head's keys."""
    inner_norm: nn.Module | None = None
    """Normalisation of what was attended, [..., A], before the output projection."""


def norm_or_none(module: nn.Module) -> nn.Module | None:
    """Return a norm, or None for the `nn.Identity` that stands for no norm."""
    return None if isinstance(module, nn.Identity) else module


def normed_heads(x: torch.Tensor, norm: nn.Module, heads: int) -> torch.Tensor:
    """Normalise each head of queries or keys, [..., A], with the norm of a head's width."""
    normed: torch.Tensor = norm(x.unflatten(-1, (heads, -1)))
    return normed.flatten(-2).type_as(x)
