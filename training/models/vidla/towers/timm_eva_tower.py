"""timm's `Eva`: PE-Core ([CLS], rotary positions, attention pooling), EVA02 (SwiGLU, inner norms), EVA, DINOv3.

Rotary positions turn queries and keys of patches by their place in the frame, the same in every frame; summary tokens
are not turned, as [CLS] is not in the image tower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from timm.layers import AttentionRope
from timm.models.eva import Eva, EvaAttention, EvaBlock
from torch import nn

from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.towers.attention_parts import AttentionParts, norm_or_none
from training.models.vidla.towers.timm_tower import TimmTower
from training.models.vidla.video_tower import VideoLayer


class EvaLayer(VideoLayer):
    """A layer with the modules of timm's `EvaBlock`."""

    def __init__(self, block: EvaBlock, settings: TemporalSettings, own_tokens: int) -> None:
        super().__init__(settings, own_tokens)
        self.norm1, self.attn, self.gamma_1 = block.norm1, block.attn, block.gamma_1
        self.norm2, self.mlp, self.gamma_2 = block.norm2, block.mlp, block.gamma_2
        self.add_temporal(settings)

    @property
    def parts(self) -> AttentionParts:
        """Norms and projections of the block's attention, which timm has as one matrix or as three."""
        attn = self.attn
        norms = map(norm_or_none, (attn.q_norm, attn.k_norm, attn.norm))
        return AttentionParts(self.norm1, _weight(attn), _bias(attn), attn.num_heads, *norms)

    @property
    def rotate_half(self) -> bool:
        """True if rotary positions turn the first half of the channels with the second."""
        return bool(self.attn.rotate_half)

    def attended_update(self, attended: torch.Tensor) -> torch.Tensor:
        """Apply the inner norm, the output projection and its scale."""
        return _scaled(self.attn.proj(self.attn.norm(attended)), self.gamma_1)

    def mlp_update(self, x: torch.Tensor) -> torch.Tensor:
        """Apply norm, MLP and its scale."""
        return _scaled(self.mlp(self.norm2(x)), self.gamma_2)


class EvaTower(TimmTower):
    """A video tower with the modules of a `TimmModel` around timm's `Eva`."""

    trunk_class = Eva

    @classmethod
    def pools_own_tokens(cls, trunk: Any) -> bool:
        """Return True for attention pooling, which reads all tokens of the image tower."""
        return bool(trunk.attn_pool is not None and trunk.num_prefix_tokens)

    @classmethod
    def unsupported_block(cls, block: Any) -> str | None:
        """Return why a block can't take attention over time; None if it can."""
        if type(block) is not EvaBlock:
            return f"its blocks are {type(block).__name__}: norms after the residual leave no place to add attention"
        attn = block.attn
        if type(attn) not in (EvaAttention, AttentionRope):
            return f"its attention is {type(attn).__name__}"
        if getattr(attn, "num_kv_groups", 1) > 1:
            return "its attention shares keys among heads (grouped queries)"
        return "its attention is gated" if attn.gate is not None else None

    def layer(self, block: nn.Module, temporal: TemporalSettings) -> VideoLayer:
        """Return the layer with the modules of an `EvaBlock`."""
        return EvaLayer(cast(EvaBlock, block), temporal, self.own_tokens)

    def rotations(self) -> Sequence[torch.Tensor | None]:
        """Return the rotary position embedding of a frame's patches, by layer; None: there is none."""
        trunk = self.trunk
        if trunk.rope is None:
            return super().rotations()
        embedding = trunk.rope.get_embed(shape=trunk.patch_embed.grid_size)
        return list(embedding) if trunk.rope_mixed else [embedding] * len(self.layers)


def _weight(attn: Any) -> torch.Tensor:
    """Return the weights of queries, keys and values, [3A, D]."""
    if attn.qkv is not None:
        return cast(torch.Tensor, attn.qkv.weight)
    return torch.cat((attn.q_proj.weight, attn.k_proj.weight, attn.v_proj.weight))


def _bias(attn: Any) -> torch.Tensor | None:
    """Return their biases, [3A]; zeros for keys where timm leaves these out."""
    if attn.qkv is None:
        q, k, v = attn.q_proj.bias, attn.k_proj.bias, attn.v_proj.bias
    elif isinstance(attn, EvaAttention):
        q, k, v = attn.q_bias, attn.k_bias, attn.v_bias
    else:
        return cast("torch.Tensor | None", attn.qkv.bias)
    return None if q is None else torch.cat((q, torch.zeros_like(q) if k is None else k, v))


def _scaled(x: torch.Tensor, gamma: torch.Tensor | None) -> torch.Tensor:
    return x if gamma is None else gamma * x
