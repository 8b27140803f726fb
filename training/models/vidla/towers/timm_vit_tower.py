"""timm's `VisionTransformer`: SigLIP and SigLIP 2 (no [CLS], attention pooling), and ViTs with [CLS] or registers."""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.towers.attention_parts import AttentionParts, norm_or_none
from training.models.vidla.towers.timm_tower import TimmTower
from training.models.vidla.video_tower import VideoLayer


class VitLayer(VideoLayer):
    """A layer with the modules of timm's `Block`."""

    def __init__(self, block: Block, settings: TemporalSettings, own_tokens: int) -> None:
        super().__init__(settings, own_tokens)
        self.norm1, self.attn, self.ls1 = block.norm1, block.attn, block.ls1
        self.norm2, self.mlp, self.ls2 = block.norm2, block.mlp, block.ls2
        self.add_temporal(settings)

    @property
    def parts(self) -> AttentionParts:
        """Norms and projections of the block's attention."""
        attn = self.attn
        norms = map(norm_or_none, (attn.q_norm, attn.k_norm, attn.norm))
        return AttentionParts(self.norm1, attn.qkv.weight, attn.qkv.bias, attn.num_heads, *norms)

    def attended_update(self, attended: torch.Tensor) -> torch.Tensor:
        """Apply the inner norm and the output projection."""
        return cast(torch.Tensor, self.ls1(self.attn.proj(self.attn.norm(attended))))

    def mlp_update(self, x: torch.Tensor) -> torch.Tensor:
        """Apply norm and MLP."""
        return cast(torch.Tensor, self.ls2(self.mlp(self.norm2(x))))


class VitTower(TimmTower):
    """A video tower with the modules of a `TimmModel` around timm's `VisionTransformer`."""

    trunk_class = VisionTransformer

    @classmethod
    def pools_own_tokens(cls, trunk: Any) -> bool:
        """Return the trunk's own choice."""
        return bool(trunk.pool_include_prefix and trunk.num_prefix_tokens)

    @classmethod
    def unsupported_block(cls, block: Any) -> str | None:
        """Return why a block can't take attention over time; None if it can."""
        if type(block) is not Block:
            return f"its blocks are {type(block).__name__}, not attention and MLP one after the other"
        if type(block.attn) is not Attention:
            return f"its attention is {type(block.attn).__name__}"
        return "its attention is gated" if block.attn.gate is not None else None

    def layer(self, block: nn.Module, temporal: TemporalSettings) -> VideoLayer:
        """Return the layer with the modules of a `Block`."""
        return VitLayer(cast(Block, block), temporal, self.own_tokens)
