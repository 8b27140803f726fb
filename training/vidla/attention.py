"""Hierarchical temporal attention (VidLA, section 3.2), computed by structure: no mask over all pairs of tokens exists.

A clip is held as two tensors through all layers: its summary tokens ([CLS], then the [MST] of level 0, 1, ...) and its
patches, frame by frame. `SpatiallyLocalAttention` attends over time at each place of the picture; `global_attention`
lets patches attend to their own frame and the summary tokens, and each summary token to the frames of its level.
`training.vidla.video_tower` puts both into every layer of a CLIP image tower.

Shapes: B clips, T frames, N patches a frame, D width, H heads, C width of a head, S = 1 + U*V summary tokens,
Q queries, K keys. U levels, V [MST] a level, r scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from runtime.config import Settings
from runtime.errors import UserError


class TemporalSettings(Settings):
    """Hierarchical temporal attention; the defaults are the paper's (U-V-r of 3-4-2)."""

    levels: int = Field(default=3, ge=0, le=16)
    """U, levels of [MST] tokens; 0 leaves them out."""
    tokens_per_level: int = Field(default=4, ge=1)
    """V, [MST] tokens of a level."""
    scale: int = Field(default=2, ge=1)
    """r: level u attends to every r^u-th frame, counted from the first; 1 gives [MST] without hierarchy."""
    spatially_local: bool = True
    """Attention over time at each place of the picture, before the global one."""
    patch_sees_cls: bool = True
    """Patches attend to [CLS], as the paper's formula has it (its prose says no) and as CLIP does."""
    mst_sees: Literal["lower", "higher"] = "lower"
    """[MST] of level u attend to levels up to u (the paper's formula) or from u on (its figure 3)."""
    cls_self_bias: float | Literal["log_frames"] = 0.0
    """Added to the logit of [CLS] on itself; `log_frames` makes a clip of equal frames equal to CLIP's image."""

    @property
    def summary_tokens(self) -> int:
        """S: [CLS] and all [MST]."""
        return 1 + self.levels * self.tokens_per_level

    def check_frames(self, frames: int) -> None:
        """Refuse a number of frames whose highest level would see only one frame.

        Raises:
            UserError: r^(U-1) is not below `frames`.
        """
        if frames < 1:
            raise UserError(f"frames={frames}: must be at least 1")
        if self.levels and self.scale ** (self.levels - 1) >= frames:
            raise UserError(
                f"temporal.levels={self.levels} with temporal.scale={self.scale}: the highest level takes every "
                f"{self.scale ** (self.levels - 1)}th frame, but frames={frames}; take more frames, or fewer levels"
            )


@dataclass(frozen=True)
class Group:
    """Summary tokens that attend to the same keys."""

    queries: slice
    """Which summary tokens ask."""
    summary: slice
    """Which summary tokens they attend to."""
    stride: int
    """They attend to every patch of each `stride`-th frame."""
    self_bias: float = 0.0
    """Added to the logit on the first summary token they attend to."""


def groups(settings: TemporalSettings, frames: int) -> Iterator[Group]:
    """The masks of the paper's table for summary tokens: [CLS] sees everything, level u what its scale allows."""
    yield Group(slice(0, 1), slice(0, settings.summary_tokens), 1, _cls_bias(settings, frames))
    per_level = settings.tokens_per_level
    for level in range(settings.levels):
        own = slice(1 + level * per_level, 1 + (level + 1) * per_level)
        seen = slice(1, own.stop) if settings.mst_sees == "lower" else slice(own.start, settings.summary_tokens)
        yield Group(own, seen, settings.scale**level)


class SpatiallyLocalAttention(nn.Module):
    """Self-attention over the frames at each place of the picture (Z^SlT of the paper, without the residual).

    Starts as the layer's own attention with an output projection of zero, weight and bias: it adds nothing at first,
    yet receives gradients.
    """

    def __init__(self, norm: nn.LayerNorm, attention: nn.Module) -> None:
        """Copy `norm` and the query, key and value projections of `attention`, which are of CLIP's layer."""
        super().__init__()
        width, heads = norm.normalized_shape[0], int(attention.num_heads)  # type: ignore[arg-type]
        self.heads = heads
        self.ln = type(norm)(width, eps=norm.eps)
        self.ln.load_state_dict(norm.state_dict())
        self.in_proj_weight = nn.Parameter(attention.in_proj_weight.detach().clone())  # type: ignore[operator]
        self.in_proj_bias = nn.Parameter(attention.in_proj_bias.detach().clone())  # type: ignore[operator]
        self.out_proj = nn.Linear(width, width)
        nn.init.zeros_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, patches_BTND: torch.Tensor) -> torch.Tensor:
        """What attention over time adds to each patch: [B, T, N, D]."""
        hidden_BTND = self.ln(patches_BTND)
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        # Three projections and not one: so each is laid out with places and heads side by side, and no copy is needed.
        q, k, v = (F.linear(hidden_BTND, weight, bias) for weight, bias in zip(weights, biases, strict=True))
        return self.out_proj(temporal_attention(q, k, v, self.heads))


def temporal_attention(q_BTND: torch.Tensor, k_BTND: torch.Tensor, v_BTND: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention over T for each place and head: [B, T, N, D]. Places and heads share one dimension of views."""
    b, t, n, d = q_BTND.shape
    q, k, v = (x.view(b, t, n * heads, d // heads).transpose(1, 2) for x in (q_BTND, k_BTND, v_BTND))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, n, d)


def project(x: torch.Tensor, attention: nn.Module) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values of the tokens in `x`, by the weights of an attention module of open_clip or torch."""
    qkv = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)  # type: ignore[arg-type]
    q, k, v = qkv.chunk(3, dim=-1)
    return q, k, v


QKV = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def global_attention(
    summary: QKV, patches: QKV, heads: int, settings: TemporalSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Global spatio-temporal attention (Z^GST of the paper) before its output projection and residual.

    Args:
        summary: queries, keys, values of the summary tokens, each [B, S, D].
        patches: the same of the patches, each [B, T, N, D].
        heads: H.
        settings: who sees whom.

    Returns:
        [B, S, D] for the summary tokens and [B, T, N, D] for the patches.
    """
    seen_BSD = summary if settings.patch_sees_cls else tuple(x[:, 1:] for x in summary)
    attended_BTND = _within_frames(patches, (seen_BSD[1], seen_BSD[2]), heads)
    found = [_of_group(group, summary, patches, heads) for group in groups(settings, patches[0].shape[1])]
    return torch.cat(found, dim=1), attended_BTND


def _within_frames(patches: QKV, seen: tuple[torch.Tensor, torch.Tensor], heads: int) -> torch.Tensor:
    """Each patch attends to the patches of its frame and to the summary tokens in `seen`: [B·T, N] x [B·T, N + S]."""
    b, t, n, d = patches[0].shape
    q = patches[0].reshape(b * t, n, d)
    k, v = (
        torch.cat((few.unsqueeze(1).expand(b, t, -1, d), many), dim=2).view(b * t, -1, d)
        for few, many in zip(seen, patches[1:], strict=True)
    )
    return _attend(q, k, v, heads).view(b, t, n, d)


def _of_group(group: Group, summary: QKV, patches: QKV, heads: int) -> torch.Tensor:
    """What the summary tokens of `group` find in the frames and summary tokens they see."""
    k, v = (
        torch.cat((few[:, group.summary], many[:, :: group.stride].flatten(1, 2)), dim=1)
        for few, many in zip(summary[1:], patches[1:], strict=True)
    )
    bias_QK = None
    if group.self_bias:
        bias_QK = k.new_zeros(1, k.shape[1])
        bias_QK[:, 0] = group.self_bias
    return _attend(summary[0][:, group.queries], k, v, heads, bias_QK)


def _attend(
    q_BQD: torch.Tensor, k_BKD: torch.Tensor, v_BKD: torch.Tensor, heads: int, bias_QK: torch.Tensor | None = None
) -> torch.Tensor:
    """Multi-head attention of queries to keys, [B, Q, D]; heads are split and joined as views."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q_BQD, k_BKD, v_BKD))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias_QK).transpose(1, 2).flatten(2)


def _cls_bias(settings: TemporalSettings, frames: int) -> float:
    return math.log(frames) if settings.cls_self_bias == "log_frames" else float(settings.cls_self_bias)


def attention_flops(settings: TemporalSettings, frames: int, patches: int, width: int) -> dict[str, float]:
    """Forward FLOPs of the attention products of one layer for a clip (two a multiply-add), softmax not counted.

    Returns:
        `local` (over time) and `global` (within frames and of the summary tokens).
    """
    seen = settings.summary_tokens - (0 if settings.patch_sees_cls else 1)
    pairs = frames * patches * (patches + seen)
    for group in groups(settings, frames):
        queries = group.queries.stop - group.queries.start
        keys = group.summary.stop - group.summary.start + math.ceil(frames / group.stride) * patches
        pairs += queries * keys
    local = patches * frames * frames if settings.spatially_local else 0
    return {"local": 4.0 * width * local, "global": 4.0 * width * pairs}
