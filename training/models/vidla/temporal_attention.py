"""Hierarchical temporal attention (VidLA, section 3.2), computed by structure: patches need no mask.

Through all layers a clip is two tensors: its summary tokens ([CLS], then the [MST] of level 0, 1, ...) and its patches,
frame by frame. `SpatiallyLocalAttention` attends over time at each spatial position. In `global_attention`, patches
attend to their own frame and the summary tokens, and the few summary tokens attend to the frames of their level.
`training.models.vidla.video_tower` puts both into every layer of a CLIP image tower.

Shapes: B clips, T frames, N patches a frame, D width, H heads, S = 1 + U*V summary tokens, E = 3*D for queries, keys
and values side by side, Q queries, K keys. U levels, V [MST] a level, r scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from training.models.vidla.model_settings import TemporalSettings


@dataclass(frozen=True)
class AttentionGroup:
    """Summary tokens that attend to the same keys."""

    queries: slice
    """The summary tokens that attend."""
    summary: slice
    """The summary tokens that they attend to."""
    stride: int
    """They attend to every patch of each `stride`-th frame."""


QKV = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Queries, keys and values of the same tokens."""


def groups(settings: TemporalSettings) -> Iterator[AttentionGroup]:
    """Yield the paper's masks for summary tokens: [CLS] attends to everything, level u to the frames of its scale."""
    yield AttentionGroup(slice(0, 1), slice(0, settings.summary_tokens), 1)
    per_level = settings.tokens_per_level
    for level in range(settings.levels):
        own = slice(1 + level * per_level, 1 + (level + 1) * per_level)
        seen = slice(1, own.stop) if settings.mst_sees == "lower" else slice(own.start, settings.summary_tokens)
        yield AttentionGroup(own, seen, settings.scale**level)


def summary_mask(settings: TemporalSettings, patches_BTND: torch.Tensor) -> torch.Tensor:
    """Return the mask of the summary tokens, to be added to their logits: 0 or minus infinity, [S, T·(S+N)].

    The keys are laid out as in `global_attention`, frame by frame: all S summary tokens, then the N patches of the
    frame. The summary tokens are repeated in every frame and attended to in the first only.
    """
    summary, (frames, patches) = settings.summary_tokens, patches_BTND.shape[1:3]
    mask = patches_BTND.new_full((summary, frames, summary + patches), -math.inf)
    for group in groups(settings):
        mask[group.queries, 0, group.summary] = 0.0
        mask[group.queries, :: group.stride, summary:] = 0.0
    mask[0, 0, 0] = math.log(frames) if settings.cls_self_bias == "log_frames" else settings.cls_self_bias
    return mask.flatten(1)


def global_attention(
    summary: QKV, patches: QKV, heads: int, mask_SK: torch.Tensor, patch_sees_cls: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute global spatio-temporal attention (Z^GST of the paper) before its output projection and residual.

    Keys and values are laid out once, frame by frame, the summary tokens before each frame's patches. Patches attend in
    [B·T, N] x [B·T, S+N]. The summary tokens attend to the same memory viewed as [B, T·(S+N)]: a mask of S rows is
    cheaper than copies of the keys for each level, and costs 3 % of the products.

    Args:
        summary: queries, keys, values of the summary tokens, each [B, S, D].
        patches: the same of the patches, each [B, T, N, D].
        heads: H.
        mask_SK: mask of `summary_mask`.
        patch_sees_cls: True if patches attend to [CLS].

    Returns:
        [B, S, D] for the summary tokens and [B, T, N, D] for the patches.
    """
    q_BTND = patches[0]
    t, first = q_BTND.shape[1], 0 if patch_sees_cls else 1
    k, v = (
        torch.cat((few.unsqueeze(1).expand(-1, t, -1, -1), many), dim=2)
        for few, many in zip(summary[1:], patches[1:], strict=True)
    )
    found_BTND = _attend(q_BTND.flatten(0, 1), k.flatten(0, 1)[:, first:], v.flatten(0, 1)[:, first:], heads)
    found_BSD = _attend(summary[0], k.flatten(1, 2), v.flatten(1, 2), heads, mask_SK.to(k.dtype))
    return found_BSD, found_BTND.view_as(q_BTND)


class SpatiallyLocalAttention(nn.Module):
    """Self-attention over the frames at each spatial position (Z^SlT of the paper, without the residual).

    It starts as the layer's own attention with an output projection of zero, weight and bias: it adds nothing at first,
    and still receives gradients.
    """

    def __init__(self, norm: nn.LayerNorm, attention: nn.MultiheadAttention) -> None:
        """Copy `norm` and the query, key and value projections of `attention`, both from CLIP's layer."""
        super().__init__()
        width, self.heads = norm.normalized_shape[0], attention.num_heads
        self.ln = type(norm)(width, eps=norm.eps)
        self.ln.load_state_dict(norm.state_dict())
        # Rows are ordered by head: positions and heads are then one dimension of a view, and attention needs no copy.
        self.qkv = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        with torch.no_grad():
            self.qkv.weight.copy_(by_head(attention.in_proj_weight, self.heads))
            self.qkv.bias.copy_(by_head(attention.in_proj_bias, self.heads))
            self.out_proj.weight.zero_()
            self.out_proj.bias.zero_()

    def forward(self, patches_BTND: torch.Tensor) -> torch.Tensor:
        """Return the update of each patch by attention over time, [B, T, N, D]."""
        return self.out_proj(temporal_attention(self.qkv(self.ln(patches_BTND)), self.heads))


def by_head(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder the rows of a projection from CLIP's order (q/k/v, head, channel) to (head, q/k/v, channel)."""
    return rows.unflatten(0, (3, heads, -1)).transpose(0, 1).flatten(0, 2)


def temporal_attention(qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    """Compute attention over T at each position and head, [B, T, N, D], from projections in the order of `by_head`."""
    b, t, n, e = qkv_BTNE.shape
    q, k, v = (x.transpose(1, 2) for x in qkv_BTNE.view(b, t, n * heads, 3, -1).unbind(3))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, n, e // 3)


def _attend(
    q_BQD: torch.Tensor, k_BKD: torch.Tensor, v_BKD: torch.Tensor, heads: int, mask_QK: torch.Tensor | None = None
) -> torch.Tensor:
    """Compute multi-head attention of queries to keys, [B, Q, D]; heads are split and joined as views."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q_BQD, k_BKD, v_BKD))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask_QK).transpose(1, 2).flatten(2)


def attention_flops(settings: TemporalSettings, frames: int, patches: int, width: int) -> float:
    """Return the forward FLOPs of one layer's attention products for a clip (two a multiply-add), without softmax."""
    summary = settings.summary_tokens
    seen = summary if settings.patch_sees_cls else summary - 1
    pairs = frames * patches * (patches + seen) + summary * frames * (summary + patches)
    if settings.spatially_local:
        pairs += patches * frames * frames
    return 4.0 * width * pairs
