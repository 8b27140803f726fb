"""Hierarchical temporal attention (VidLA, section 3.2), computed by structure: patches need no mask.

Through all layers a clip is two tensors: its summary tokens (the image tower's own, then the [MST] of level 0, 1, ...)
and its patches, frame by frame. An image tower's own tokens are [CLS] and registers, if it has any.
`SpatiallyLocalAttention` attends over time at each spatial position. In `global_attention`, patches attend to their own
frame and the summary tokens, and the few summary tokens attend to the frames of their level.
`training.models.vidla.video_tower` puts both into every layer of an image tower.

Shapes: B clips, T frames, N patches a frame, D width, H heads, P own tokens, S = P + U*V summary tokens, E = 3*D for
queries, keys and values side by side, Q queries, K keys. U levels, V [MST] a level, r scale.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from training.models.vidla.kernels.attention_over_time import attention_over_time
from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.recomputation import keep_inputs
from training.models.vidla.towers.attention_parts import AttentionParts


@dataclass(frozen=True)
class AttentionGroup:
    """Summary tokens that attend to the same keys."""

    queries: slice
    """The summary tokens that attend."""
    summary: slice
    """The summary tokens that they attend to."""
    stride: int
    """They attend to every patch of each `stride`-th frame, or as `TemporalSettings.fitting_stride` in short clips."""


QKV = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Queries, keys and values of the same tokens."""


def groups(settings: TemporalSettings, own_tokens: int = 1) -> Iterator[AttentionGroup]:
    """Yield the paper's masks for summary tokens: level u attends to the frames of its scale, [CLS] to everything.

    The same holds for registers as for [CLS]. A tower without own tokens has the levels alone; its pooling then reads
    all [MST] and all patches, as [CLS] does elsewhere.

    Args:
        settings: levels and scale.
        own_tokens: P.
    """
    total, per_level = own_tokens + settings.mst_tokens, settings.tokens_per_level
    yield AttentionGroup(slice(0, own_tokens), slice(0, total), 1)
    for level in range(settings.levels):
        own = slice(own_tokens + level * per_level, own_tokens + (level + 1) * per_level)
        seen = slice(own_tokens, own.stop) if settings.mst_sees == "lower" else slice(own.start, total)
        yield AttentionGroup(own, seen, settings.scale**level)


def summary_mask(settings: TemporalSettings, patches_BTND: torch.Tensor, own_tokens: int = 1) -> torch.Tensor:
    """Return the mask of the summary tokens, to be added to their logits: 0 or minus infinity, [S, T·(S+N)].

    The keys are laid out as in `global_attention`, frame by frame: all S summary tokens, then the N patches of the
    frame. The summary tokens are repeated in every frame and attended to in the first only.
    """
    summary, (frames, patches) = own_tokens + settings.mst_tokens, patches_BTND.shape[1:3]
    mask = patches_BTND.new_full((summary, frames, summary + patches), -math.inf)
    for group in groups(settings, own_tokens):
        mask[group.queries, 0, group.summary] = 0.0
        mask[group.queries, :: settings.fitting_stride(group.stride, frames), summary:] = 0.0
    mask[:own_tokens, 0, :own_tokens] = own_bias(settings, frames)
    return mask.flatten(1)


def own_bias(settings: TemporalSettings, frames: int) -> float:
    """Return what is added to the logit of an own token where it is attended to beside the patches of all frames."""
    return math.log(frames) if settings.cls_self_bias == "log_frames" else settings.cls_self_bias


def global_attention(
    summary: QKV, patches: QKV, heads: int, mask_SK: torch.Tensor, hidden: int
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
        hidden: number of the first summary tokens that patches don't attend to.

    Returns:
        [B, S, D] for the summary tokens and [B, T, N, D] for the patches.
    """
    q_BTND = patches[0]
    k, v = (keys_by_frame(few, many) for few, many in zip(summary[1:], patches[1:], strict=True))
    found_BTND = _attend(q_BTND.flatten(0, 1), k.flatten(0, 1)[:, hidden:], v.flatten(0, 1)[:, hidden:], heads)
    if not summary[0].shape[1]:
        return summary[0], found_BTND.view_as(q_BTND)
    return attend_over_clip(summary[0], k, v, heads, mask_SK), found_BTND.view_as(q_BTND)


def attend_over_clip(
    q_BSD: torch.Tensor, k_BTKD: torch.Tensor, v_BTKD: torch.Tensor, heads: int, mask_SK: torch.Tensor
) -> torch.Tensor:
    """Compute what summary tokens find in all frames, [B, S, D].

    Args:
        q_BSD: queries of the summary tokens, or of the first S of them.
        k_BTKD: keys, frame by frame, the summary tokens before each frame's patches.
        v_BTKD: values, in the same order.
        heads: H.
        mask_SK: rows of `summary_mask`.
    """
    return _attend(q_BSD, k_BTKD.flatten(1, 2), v_BTKD.flatten(1, 2), heads, mask_SK.to(k_BTKD.dtype))


def keys_by_frame(summary: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """Lay out keys or values frame by frame, the summary tokens [B, S, D] before each frame's patches [B, T, N, D]."""
    return torch.cat((summary.unsqueeze(1).expand(-1, patches.shape[1], -1, -1), patches), dim=2)


class SpatiallyLocalAttention(nn.Module):
    """Self-attention over the frames at each spatial position (Z^SlT of the paper, without the residual).

    It starts as the layer's own attention with an output projection of zero, weight and bias: it adds nothing at first,
    and still receives gradients. Rotary positions are left out: they turn the queries and keys of one position alike,
    which changes no product.
    """

    def __init__(self, parts: AttentionParts) -> None:
        """Copy the norms and the query, key and value projections of an image tower's layer."""
        super().__init__()
        (rows, width), self.heads = parts.weight.shape, parts.heads
        self.selective = True
        """True: keep only the input and the projections for the backward pass."""
        self.ln = copy.deepcopy(parts.norm)
        # Rows are ordered by head: positions and heads are then one dimension of a view, and attention needs no copy.
        self.qkv = nn.Linear(width, rows, bias=parts.bias is not None)
        self.out_proj = nn.Linear(rows // 3, width)
        self.query_norm, self.key_norm = copy.deepcopy(parts.query_norm), copy.deepcopy(parts.key_norm)
        self.inner_norm = copy.deepcopy(parts.inner_norm)
        with torch.no_grad():
            self.qkv.weight.copy_(by_head(parts.weight, self.heads))
            if parts.bias is not None:
                self.qkv.bias.copy_(by_head(parts.bias, self.heads))
            self.out_proj.weight.zero_()
            self.out_proj.bias.zero_()

    def forward(self, patches_BTND: torch.Tensor) -> torch.Tensor:
        """Return the update of each patch by attention over time, [B, T, N, D]."""
        qkv_BTNE = keep_inputs(self._project, patches_BTND, if_=self.selective)
        return keep_inputs(self._attend, qkv_BTNE, if_=self.selective)

    def _project(self, patches_BTND: torch.Tensor) -> torch.Tensor:
        """Return queries, keys and values, in the order of `by_head`."""
        return cast(torch.Tensor, self.qkv(self.ln(patches_BTND)))

    def _attend(self, qkv_BTNE: torch.Tensor) -> torch.Tensor:
        """Apply the norms of queries and keys, attention, and the output projection."""
        if self.query_norm is not None and self.key_norm is not None:
            q, k, v = qkv_BTNE.unflatten(-1, (self.heads, 3, -1)).unbind(-2)
            normed = (self.query_norm(q).type_as(v), self.key_norm(k).type_as(v), v)
            qkv_BTNE = torch.stack(normed, dim=-2).flatten(-3)
        attended_BTNA = attention_over_time(qkv_BTNE, self.heads)
        return cast(
            torch.Tensor, self.out_proj(attended_BTNA if self.inner_norm is None else self.inner_norm(attended_BTNA))
        )


def by_head(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder the rows of a projection from CLIP's order (q/k/v, head, channel) to (head, q/k/v, channel)."""
    return rows.unflatten(0, (3, heads, -1)).transpose(0, 1).flatten(0, 2)


def _attend(
    q_BQD: torch.Tensor, k_BKD: torch.Tensor, v_BKD: torch.Tensor, heads: int, mask_QK: torch.Tensor | None = None
) -> torch.Tensor:
    """Compute multi-head attention of queries to keys, [B, Q, D]; heads are split and joined as views."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q_BQD, k_BKD, v_BKD))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask_QK).transpose(1, 2).flatten(2)


def attention_flops(settings: TemporalSettings, frames: int, patches: int, width: int, own_tokens: int = 1) -> float:
    """Return the forward FLOPs of one layer's attention products for a clip (two a multiply-add), without softmax."""
    summary = own_tokens + settings.mst_tokens
    seen = summary if settings.patch_sees_cls else settings.mst_tokens
    pairs = frames * patches * (patches + seen) + summary * frames * (summary + patches)
    return 4.0 * width * (pairs + _local_pairs(settings, frames, patches))


def last_attention_flops(settings: TemporalSettings, frames: int, patches: int, width: int, own_tokens: int) -> float:
    """Return the same of a last layer, where only one token attends to the whole clip."""
    pairs = frames * (own_tokens + settings.mst_tokens + patches)
    return 4.0 * width * (pairs + _local_pairs(settings, frames, patches))


def _local_pairs(settings: TemporalSettings, frames: int, patches: int) -> int:
    return patches * frames * frames if settings.spatially_local else 0
