"""open_clip's own `VisionTransformer`: CLIP, DFN, MetaCLIP, LAION's and DataComp's models.

Its parameters keep open_clip's names. [CLS] is the first summary token.

Shapes: B clips, T frames, F frames, C colours, H height, W width, N patches a frame, D width, S summary tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, cast

import torch
from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock, VisionTransformer
from torch import nn

from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.towers.attention_parts import AttentionParts, norm_or_none
from training.models.vidla.video_tower import VideoLayer, VideoTower


class ClipLayer(VideoLayer):
    """A layer with the modules of open_clip's `ResidualAttentionBlock`."""

    def __init__(self, block: ResidualAttentionBlock, settings: TemporalSettings) -> None:
        super().__init__(settings)
        self.ln_1, self.attn, self.ls_1 = block.ln_1, block.attn, block.ls_1
        self.ln_2, self.mlp, self.ls_2 = block.ln_2, block.mlp, block.ls_2
        self.add_temporal(settings)

    @property
    def parts(self) -> AttentionParts:
        """Norm and projections of the block's attention."""
        return AttentionParts(self.ln_1, self.attn.in_proj_weight, self.attn.in_proj_bias, self.attn.num_heads)

    def attended_update(self, attended: torch.Tensor) -> torch.Tensor:
        """Apply the output projection."""
        return cast(torch.Tensor, self.ls_1(self.attn.out_proj(attended)))

    def mlp_update(self, x: torch.Tensor) -> torch.Tensor:
        """Apply norm and MLP."""
        return cast(torch.Tensor, self.ls_2(self.mlp(self.ln_2(x))))


class CustomClipLayer(VideoLayer):
    """A layer with the modules of open_clip's `CustomResidualAttentionBlock`: more norms, on queries and keys too."""

    def __init__(self, block: CustomResidualAttentionBlock, settings: TemporalSettings) -> None:
        super().__init__(settings)
        self.ln_1, self.attn, self.ln_attn, self.ls_1 = block.ln_1, block.attn, block.ln_attn, block.ls_1
        self.ln_2, self.mlp, self.ls_2 = block.ln_2, block.mlp, block.ls_2
        self.add_temporal(settings)

    @property
    def parts(self) -> AttentionParts:
        """Norms and projections of the block's attention."""
        attn = self.attn
        norms = map(norm_or_none, (attn.ln_q, attn.ln_k, attn.ln_inner))
        return AttentionParts(self.ln_1, attn.in_proj_weight, attn.in_proj_bias, attn.num_heads, *norms)

    def attended_update(self, attended: torch.Tensor) -> torch.Tensor:
        """Apply the output projection, and the norms around it."""
        return cast(torch.Tensor, self.ls_1(self.ln_attn(self.attn.out_proj(self.attn.ln_inner(attended)))))

    def mlp_update(self, x: torch.Tensor) -> torch.Tensor:
        """Apply norm and MLP."""
        return cast(torch.Tensor, self.ls_2(self.mlp(self.ln_2(x))))


class ClipTower(VideoTower):
    """A video tower with the modules of open_clip's `VisionTransformer`."""

    own_tokens = 1

    def __init__(self, visual: VisionTransformer, temporal: TemporalSettings, frames: int) -> None:
        super().__init__(temporal, int(visual.image_size[0]))
        self.conv1 = visual.conv1
        self.class_embedding = visual.class_embedding
        self.positional_embedding = visual.positional_embedding
        self.add_time(frames, int(visual.conv1.out_channels))
        self.ln_pre = visual.ln_pre
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(_layer(block, temporal) for block in visual.transformer.resblocks)
        self.ln_post = visual.ln_post
        self.proj = visual.proj
        self._average, self._norm_last = visual.pool_type == "avg", visual.final_ln_after_pool

    @classmethod
    def takes(cls, visual: nn.Module) -> bool:
        """Return True for open_clip's `VisionTransformer`."""
        return type(visual) is VisionTransformer

    @classmethod
    def unsupported(cls, visual: Any) -> str | None:
        """Return why a `VisionTransformer` can't become a video tower; None if it can."""
        if visual.attn_pool is not None:
            return "attentional pooling over queries (CoCa's) has no single vector to start from"
        if visual.pool_type not in ("tok", "avg"):
            return f"pool_type={visual.pool_type!r} gives no single vector"
        if not isinstance(visual.patch_dropout, nn.Identity):
            return "patch_dropout is above 0, and frames would lose different patches; set it to 0"
        if visual.image_size[0] != visual.image_size[1]:
            return f"its pictures of {visual.image_size[0]}x{visual.image_size[1]} are not square"
        return next(filter(None, map(_unsupported_block, visual.transformer.resblocks)), None)

    @classmethod
    def of(cls, visual: nn.Module, temporal: TemporalSettings, frames: int) -> Self:
        """Take over the modules of a `VisionTransformer`."""
        return cls(cast(VisionTransformer, visual), temporal, frames)

    @property
    def layers(self) -> Sequence[VideoLayer]:
        """The layers, in order."""
        return list(cast(nn.ModuleList, self.transformer.resblocks))  # type: ignore[arg-type]

    @property
    def patches(self) -> int:
        """N, the patches of a frame."""
        return self.positional_embedding.shape[0] - 1

    @property
    def pools_patches(self) -> bool:
        """True if the average of the patches is pooled."""
        return self._average

    @property
    def projection(self) -> Sequence[nn.Parameter]:
        """The matrix that `project` multiplies with."""
        return [self.proj]

    def embed_frames(self, frames_FCHW: torch.Tensor) -> torch.Tensor:
        """Return the patches of frames with their positions, [F, N, D]."""
        return self.conv1(frames_FCHW).flatten(2).transpose(1, 2) + self.positional_embedding[1:]

    def embed_own(self) -> torch.Tensor:
        """Return [CLS] with its position, [1, D]."""
        return self.class_embedding[None] + self.positional_embedding[:1]

    def norm_before(self, x: torch.Tensor) -> torch.Tensor:
        """Apply `ln_pre`."""
        return cast(torch.Tensor, self.ln_pre(x))

    def pool(self, summary_BSD: torch.Tensor, patches_BTND: torch.Tensor) -> torch.Tensor:
        """Return [CLS] after `ln_post`, or the average of all patches where the tower has that."""
        if not self._average:
            return cast(torch.Tensor, self.ln_post(summary_BSD[:, 0]))
        if self._norm_last:
            return cast(torch.Tensor, self.ln_post(patches_BTND.mean(dim=(1, 2))))
        return cast(torch.Tensor, self.ln_post(patches_BTND).mean(dim=(1, 2)))

    def project(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Multiply with `proj`."""
        return features_BD @ self.proj


def _layer(block: nn.Module, settings: TemporalSettings) -> VideoLayer:
    if isinstance(block, CustomResidualAttentionBlock):
        return CustomClipLayer(block, settings)
    return ClipLayer(cast(ResidualAttentionBlock, block), settings)


def _unsupported_block(block: Any) -> str | None:
    if type(block) is ResidualAttentionBlock:
        return None
    if type(block) is not CustomResidualAttentionBlock:
        return f"its blocks are {type(block).__name__}"
    if block.attn.logit_scale is not None:
        return "scaled cosine attention (scaled_cosine_attn) is another attention than the one that is added"
    if block.attn.head_scale is not None:
        return "scales of heads (scale_heads) are not supported"
    return None
