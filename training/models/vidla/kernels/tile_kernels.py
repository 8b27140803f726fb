"""Triton kernels of attention over time: several positions of the picture share a tile of 64 rows.

A tile holds the frames of as many positions as fit (five of 12 frames), of one head. One product gives the logits of
all pairs in the tile; those of different positions are masked. The products that are wasted so are few beside the
layer's projections, and queries, keys and values are read once, the result written once. The backward pass computes the
weights again from the same tile, so no two tiles add to one gradient.

Shapes: B clips, T frames, N positions, A channels of all heads, E = 3*A in the order (head, query/key/value, channel).
"""

# ruff: noqa: ANN001, ANN202 (Triton compiles these functions, and reads their annotations as code)

from __future__ import annotations

from typing import Any, Final

import torch
import triton
import triton.language as tl

_TILE: Final = 64
"""Rows of a tile; T is at most this."""


def forward(qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    """Return what is attended, [B, T, N, A], from contiguous projections."""
    b, t, n, e = qkv_BTNE.shape
    out_BTNA = qkv_BTNE.new_empty(b, t, n, e // 3)
    _forward_kernel[_grid(qkv_BTNE, heads)](qkv_BTNE, out_BTNA, n, heads, **_sizes(qkv_BTNE, heads))
    return out_BTNA


def backward(gradient_BTNA: torch.Tensor, qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the gradient of the projections, [B, T, N, E], from contiguous tensors."""
    d_qkv_BTNE = torch.empty_like(qkv_BTNE)
    sizes = _sizes(qkv_BTNE, heads)
    _backward_kernel[_grid(qkv_BTNE, heads)](gradient_BTNA, qkv_BTNE, d_qkv_BTNE, qkv_BTNE.shape[2], heads, **sizes)
    return d_qkv_BTNE


def _grid(qkv_BTNE: torch.Tensor, heads: int) -> tuple[int, int, int]:
    """Return the number of programs: heads first, as those of one token are neighbours in memory."""
    b, t, n, _ = qkv_BTNE.shape
    return heads, triton.cdiv(n, _TILE // t), b


def _sizes(qkv_BTNE: torch.Tensor, heads: int) -> dict[str, Any]:
    """Return the constants that a kernel is compiled for."""
    width = qkv_BTNE.shape[3] // (3 * heads)
    return {
        "FRAMES": qkv_BTNE.shape[1],
        "WIDTH": width,
        "CHANNELS": max(16, triton.next_power_of_2(width)),
        "TILE": _TILE,
        "SCALE": width**-0.5,
        "num_warps": 4,
    }


@triton.jit
def _rows(positions, FRAMES: tl.constexpr, TILE: tl.constexpr):
    """Return position and token of each row, and True for rows that hold a token."""
    row = tl.arange(0, TILE)
    in_tile: tl.constexpr = TILE // FRAMES
    position = tl.program_id(1) * in_tile + row // FRAMES
    token = (tl.program_id(2).to(tl.int64) * FRAMES + row % FRAMES) * positions + position
    return position, token, (row < in_tile * FRAMES) & (position < positions)


@triton.jit
def _weights(q, k, position, SCALE: tl.constexpr):
    """Return softmax weights, [TILE, TILE], zero between positions; rows without a token attend to each other."""
    logits = tl.dot(q, tl.trans(k)) * SCALE
    logits = tl.where(position[:, None] == position[None, :], logits, float("-inf"))
    weights = tl.exp(logits - tl.max(logits, 1)[:, None])
    return weights / tl.sum(weights, 1)[:, None]


@triton.jit
def _forward_kernel(
    qkv,
    out,
    positions,
    heads,
    FRAMES: tl.constexpr,
    WIDTH: tl.constexpr,
    CHANNELS: tl.constexpr,
    TILE: tl.constexpr,
    SCALE: tl.constexpr,
):
    position, token, there = _rows(positions, FRAMES, TILE)
    channel = tl.arange(0, CHANNELS)[None, :]
    seen = there[:, None] & (channel < WIDTH)
    at = (token[:, None] * heads + tl.program_id(0)) * WIDTH
    given = qkv + 3 * at + channel
    q = tl.load(given, seen, 0.0)
    k = tl.load(given + WIDTH, seen, 0.0)
    v = tl.load(given + 2 * WIDTH, seen, 0.0)
    weights = _weights(q, k, position, SCALE)
    attended = tl.dot(weights.to(v.dtype), v)
    tl.store(out + at + channel, attended.to(v.dtype), seen)


@triton.jit
def _backward_kernel(
    gradient,
    qkv,
    d_qkv,
    positions,
    heads,
    FRAMES: tl.constexpr,
    WIDTH: tl.constexpr,
    CHANNELS: tl.constexpr,
    TILE: tl.constexpr,
    SCALE: tl.constexpr,
):
    position, token, there = _rows(positions, FRAMES, TILE)
    channel = tl.arange(0, CHANNELS)[None, :]
    seen = there[:, None] & (channel < WIDTH)
    at = (token[:, None] * heads + tl.program_id(0)) * WIDTH
    given, found = qkv + 3 * at + channel, d_qkv + 3 * at + channel
    q = tl.load(given, seen, 0.0)
    k = tl.load(given + WIDTH, seen, 0.0)
    v = tl.load(given + 2 * WIDTH, seen, 0.0)
    d_out = tl.load(gradient + at + channel, seen, 0.0)
    weights = _weights(q, k, position, SCALE)
    d_v = tl.dot(tl.trans(weights.to(v.dtype)), d_out)
    tl.store(found + 2 * WIDTH, d_v.to(v.dtype), seen)
    d_weights = tl.dot(d_out, tl.trans(v))
    mean = tl.sum(weights * d_weights, 1)[:, None]
    d_logits = (weights * (d_weights - mean) * SCALE).to(v.dtype)
    d_q = tl.dot(d_logits, k)
    tl.store(found, d_q.to(v.dtype), seen)
    d_k = tl.dot(tl.trans(d_logits), q)
    tl.store(found + WIDTH, d_k.to(v.dtype), seen)
