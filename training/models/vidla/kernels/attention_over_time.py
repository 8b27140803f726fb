"""Attention over time at each position of the picture: many very short sequences, as one operator.

A clip of 12 frames of 196 patches is 196 sequences of 12 tokens in each head. An attention kernel made for long
sequences wastes most of a tile on each of them, so other forms are used:

- on a GPU in 16 bits, Triton kernels that pack positions into a tile (`training.models.vidla.kernels.tile_kernels`);
- on a CPU, the library's attention over positions and heads as one dimension of a view; backward in batched matrix
  products over views of a few positions at once, whose intermediates stay in the cache;
- anywhere else, such products over everything at once.

Nothing but the projections is kept for the backward pass, which computes the softmax again.

Shapes: B clips, T frames, N positions, H heads, C channels of a head, A = H*C, E = 3*A: queries, keys and values in
the order (head, query/key/value, channel), M sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch.nn import functional as F
from torch.utils._triton import has_triton
from torch.utils.flop_counter import register_flop_formula

LONGEST_IN_TILE: Final = 64
"""Frames above which a GPU's kernels for long sequences are used: a tile then holds no more than one position."""

_WIDEST_HEAD: Final = 128
"""C above which a tile's queries, keys and values don't fit a GPU's shared memory."""

_SEQUENCES_AT_ONCE: Final = 96
"""M on a CPU: 96 sequences of 12 frames of 64 channels have 0.3 MB of queries, which fit a core's cache."""


def attention_over_time(qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    """Compute softmax attention over T at each position and head, [B, T, N, A]; differentiable.

    Args:
        qkv_BTNE: queries, keys and values, in the order (head, query/key/value, channel).
        heads: H.
    """
    if qkv_BTNE.is_cuda and qkv_BTNE.shape[1] > LONGEST_IN_TILE:
        return _by_library(qkv_BTNE, heads)
    attended: torch.Tensor = _forward(qkv_BTNE, heads)
    return attended


def _by_library(qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    """Compute attention over time by the library, with positions and heads as one dimension of a view."""
    b, t, n, e = qkv_BTNE.shape
    q, k, v = (x.transpose(1, 2) for x in qkv_BTNE.view(b, t, n * heads, 3, -1).unbind(3))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, n, e // 3)


@torch.library.custom_op("clipgrove::attention_over_time", mutates_args=())
def _forward(qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    if _has_kernels(qkv_BTNE, heads):
        from training.models.vidla.kernels import tile_kernels  # imports triton, which only GPUs need

        return tile_kernels.forward(qkv_BTNE.contiguous(), heads)
    if qkv_BTNE.device.type == "cpu":
        return _by_library(qkv_BTNE, heads)
    return _by_products(qkv_BTNE, heads)


def _by_products(qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    """Compute attention over time in two batched products."""
    b, t, n, e = qkv_BTNE.shape
    q, k, v = qkv_BTNE.view(b, t, n * heads, 3, -1).transpose(1, 2).unbind(3)
    return (_softmax(q, k) @ v).transpose(1, 2).reshape(b, t, n, e // 3)


@torch.library.custom_op("clipgrove::attention_over_time_backward", mutates_args=())
def _backward(gradient_BTNA: torch.Tensor, qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    if _has_kernels(qkv_BTNE, heads):
        from training.models.vidla.kernels import tile_kernels

        return tile_kernels.backward(gradient_BTNA.contiguous(), qkv_BTNE.contiguous(), heads)
    d_qkv_BTNE = torch.empty_like(qkv_BTNE, memory_format=torch.contiguous_format)
    found = (_sequences(gradient_BTNA, heads, 1), _sequences(qkv_BTNE, heads, 3), _sequences(d_qkv_BTNE, heads, 3))
    for gradient, qkv, d_qkv in zip(*found, strict=True):
        (d_out,), (q, k, v), (d_q, d_k, d_v) = (x.unbind(-3) for x in (gradient, qkv, d_qkv))
        weights = _softmax(q, k)
        d_v.copy_(weights.mT @ d_out)
        d_logits = torch._softmax_backward_data(d_out @ v.mT, weights, -1, weights.dtype).mul_(q.shape[-1] ** -0.5)
        d_q.copy_(d_logits @ k)
        d_k.copy_(d_logits.mT @ q)
    return d_qkv_BTNE


def _has_kernels(qkv_BTNE: torch.Tensor, heads: int) -> bool:
    """Return True if the kernels take this device, type and width of a head."""
    fits = qkv_BTNE.dtype in (torch.bfloat16, torch.float16) and qkv_BTNE.shape[-1] // (3 * heads) <= _WIDEST_HEAD
    return qkv_BTNE.is_cuda and fits and has_triton()


def _softmax(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Return the weights of attention, [..., T, T]."""
    return (q @ k.mT).mul_(q.shape[-1] ** -0.5).softmax(-1)


def _sequences(x_BTNX: torch.Tensor, heads: int, parts: int) -> Iterator[torch.Tensor]:
    """Yield views of all sequences, [M, parts, T, C]: a few at once on a CPU, else all in one, [B, M, parts, T, C]."""
    b, t, n = x_BTNX.shape[:3]
    by_sequence = x_BTNX.reshape(b, t, n * heads, parts, -1).permute(0, 2, 3, 1, 4)
    if x_BTNX.device.type != "cpu":
        yield by_sequence
        return
    for clip in by_sequence.unbind(0):
        yield from clip.split(_SEQUENCES_AT_ONCE)


@_forward.register_fake
def _(qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    return qkv_BTNE.new_empty(*qkv_BTNE.shape[:3], qkv_BTNE.shape[3] // 3)


@_backward.register_fake
def _(gradient_BTNA: torch.Tensor, qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    return torch.empty_like(qkv_BTNE, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[torch.Tensor, int], output: torch.Tensor) -> None:
    qkv_BTNE, ctx.heads = inputs
    ctx.save_for_backward(qkv_BTNE)


def _differentiate(ctx: Any, gradient_BTNA: torch.Tensor) -> tuple[torch.Tensor, None]:
    return _backward(gradient_BTNA, *ctx.saved_tensors, ctx.heads), None


_forward.register_autograd(_differentiate, setup_context=_keep)


def _products(qkv_shape: torch.Size) -> int:
    """Return the FLOPs of queries with keys, or of weights with values (two a multiply-add)."""
    b, t, n, e = qkv_shape
    return 2 * b * n * t * t * (e // 3)


@register_flop_formula(torch.ops.clipgrove.attention_over_time)
def _forward_flops(qkv_shape: torch.Size, heads: int, *args: Any, **others: Any) -> int:
    """Return the FLOPs of the forward pass, for torch's counter."""
    return 2 * _products(qkv_shape)


@register_flop_formula(torch.ops.clipgrove.attention_over_time_backward)
def _backward_flops(gradient_shape: torch.Size, qkv_shape: torch.Size, heads: int, *args: Any, **others: Any) -> int:
    """Return the FLOPs of the backward pass, without the softmax that is computed again."""
    return 4 * _products(qkv_shape)
