"""The video tower: a CLIP image tower with hierarchical temporal attention in every layer.

`VideoTower.from_clip` takes the layers of open_clip's `VisionTransformer`, under their names, and adds [MST] tokens,
temporal position embeddings and spatially local temporal attention. At the start it is close to CLIP.
`training.models.vidla.two_tower` adds the text tower.

Shapes: B clips, T frames, C colours, H height, W width, N patches a frame, D width, S summary tokens ([CLS] and [MST]).
"""

from __future__ import annotations

import copy
import logging
from typing import Any, cast

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from runtime.errors import UserError
from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.temporal_attention import (
    QKV,
    SpatiallyLocalAttention,
    attention_flops,
    global_attention,
    summary_mask,
)

_MST_STD = 0.02
_NEW = ("mst_embedding", "temporal_embedding", ".temporal.")


def is_new(name: str) -> bool:
    """Return True if the parameter of this name has no counterpart in CLIP: it may have a learning rate of its own."""
    return any(part in f".{name}" for part in _NEW)


class VideoLayer(nn.Module):
    """One layer: attention over time for the patches, global attention for all tokens, MLP.

    All submodules except `temporal` are those of open_clip's `ResidualAttentionBlock`, under the same names.
    """

    def __init__(self, block: ResidualAttentionBlock, settings: TemporalSettings) -> None:
        super().__init__()
        self.patch_sees_cls = settings.patch_sees_cls
        self.ln_1, self.attn, self.ls_1 = block.ln_1, block.attn, block.ls_1
        self.ln_2, self.mlp, self.ls_2 = block.ln_2, block.mlp, block.ls_2
        self.temporal = SpatiallyLocalAttention(block.ln_1, block.attn) if settings.spatially_local else None

    def forward(
        self, summary_BSD: torch.Tensor, patches_BTND: torch.Tensor, mask_SK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both kinds of token after this layer, in the same shapes; `mask_SK` is of `summary_mask`."""
        if self.temporal is not None:
            patches_BTND = patches_BTND + self.temporal(patches_BTND)
        attended_BSD, attended_BTND = global_attention(
            self._project(summary_BSD), self._project(patches_BTND), self.attn.num_heads, mask_SK, self.patch_sees_cls
        )
        return self._finish(summary_BSD, attended_BSD), self._finish(patches_BTND, attended_BTND)

    def _project(self, x: torch.Tensor) -> QKV:
        """Return queries, keys and values as separate tensors, so that keys and values are freed once concatenated."""
        hidden, weights, biases = self.ln_1(x), self.attn.in_proj_weight.chunk(3), self.attn.in_proj_bias.chunk(3)
        q, k, v = (F.linear(hidden, weight, bias) for weight, bias in zip(weights, biases, strict=True))
        return q, k, v

    def _finish(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Apply output projection, MLP and their residuals to each token."""
        x = x + self.ls_1(self.attn.out_proj(attended))
        return x + self.ls_2(self.mlp(self.ln_2(x)))


class VideoTower(nn.Module):
    """Turns clips into embeddings: the projection of [CLS] after the last layer."""

    def __init__(self, visual: VisionTransformer, temporal: TemporalSettings, frames: int) -> None:
        """Take over the modules of `visual`, which must not be used afterwards; see `from_clip`."""
        super().__init__()
        width = int(visual.conv1.out_channels)
        self.settings = temporal
        self.checkpointing = False
        """True: recompute each layer in the backward pass instead of storing its activations."""
        self.image_size = int(visual.image_size[0])
        """Side of a frame, pixels."""
        self.conv1 = visual.conv1
        self.class_embedding = visual.class_embedding
        self.positional_embedding = visual.positional_embedding
        self.mst_embedding = nn.Parameter(torch.randn(temporal.summary_tokens - 1, width) * _MST_STD)
        self.temporal_embedding = nn.Parameter(torch.zeros(frames, width))
        self.ln_pre = visual.ln_pre
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(VideoLayer(b, temporal) for b in visual.transformer.resblocks)
        self.ln_post = visual.ln_post
        self.proj = visual.proj

    @classmethod
    def from_clip(cls, visual: nn.Module, temporal: TemporalSettings, frames: int) -> VideoTower:
        """Make a video tower from an image tower, which is copied.

        Args:
            visual: open_clip's `VisionTransformer` with a class token.
            temporal: the attention that is added.
            frames: temporal position embeddings; clips of other lengths interpolate them.

        Raises:
            UserError: the tower is of another kind, or the levels don't allow that number of frames.
        """
        temporal.check_frames(frames)
        check_supported(visual)
        return cls(copy.deepcopy(cast(VisionTransformer, visual)), temporal, frames)

    @property
    def frames(self) -> int:
        """Number of temporal position embeddings."""
        return self.temporal_embedding.shape[0]

    @property
    def layers(self) -> list[VideoLayer]:
        """The layers, in order."""
        return list(cast(nn.ModuleList, self.transformer.resblocks))  # type: ignore[arg-type]

    def forward(self, video_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the embeddings [B, E] of normalised clips; projected, not of unit length. See `features`."""
        return self.features(video_BTCHW) @ self.proj

    def features(self, video_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the last layer's [CLS] after `ln_post`, [B, D], the input of the projection or a classification head.

        Any T that the levels allow is possible: temporal position embeddings are interpolated, with aligned ends.

        Raises:
            UserError: T frames are too few for the levels.
        """
        self.settings.check_frames(video_BTCHW.shape[1])
        summary_BSD, patches_BTND = self._embed(video_BTCHW)
        mask_SK = summary_mask(self.settings, patches_BTND)
        for layer in self.layers:
            if self.checkpointing and torch.is_grad_enabled():
                summary_BSD, patches_BTND = checkpoint(layer, summary_BSD, patches_BTND, mask_SK, use_reentrant=False)
            else:
                summary_BSD, patches_BTND = layer(summary_BSD, patches_BTND, mask_SK)
        return cast(torch.Tensor, self.ln_post(summary_BSD[:, 0]))

    def flops(self, frames: int) -> float:
        """Return the forward FLOPs of one clip (two a multiply-add) in convolution, projections, attention and MLP."""
        width, patches = self.conv1.out_channels, self.positional_embedding.shape[0] - 1
        tokens = self.settings.summary_tokens + frames * patches
        hidden = self.layers[0].mlp[0].out_features
        attention = attention_flops(self.settings, frames, patches, width)
        projections = 2.0 * tokens * width * (4 * width + 2 * hidden)
        if self.settings.spatially_local:
            projections += 2.0 * frames * patches * width * 4 * width
        embed = 2.0 * frames * patches * self.conv1.weight[0].numel() * width
        return embed + len(self.layers) * (projections + attention) + 2.0 * self.proj.numel()

    def step_flops(self, frames: int) -> float:
        """Return the FLOPs that forward and backward of one clip spend; recomputation is not counted.

        The backward pass takes twice the forward pass, except for what no gradient reaches: in the last layer, whose
        patches are no output, their queries, attention, output projection and MLP; and the pixels of the input.
        """
        width, patches = self.conv1.out_channels, self.positional_embedding.shape[0] - 1
        seen = self.settings.summary_tokens - (not self.settings.patch_sees_cls)
        hidden = self.layers[-1].mlp[0].out_features
        of_patch = 2.0 * width * (2 * width + 2 * hidden) + 4.0 * width * (patches + seen)
        embed = 2.0 * frames * patches * self.conv1.weight[0].numel() * width
        return 3 * self.flops(frames) - 2 * frames * patches * of_patch - embed

    def resize(self, frames: int) -> None:
        """Replace the temporal position embeddings by interpolated ones for another number of frames.

        Raises:
            UserError: the levels don't allow so few frames.
        """
        self.settings.check_frames(frames)
        if frames != self.frames:
            logging.getLogger(__name__).info("temporal position embeddings: %d -> %d frames", self.frames, frames)
            self.temporal_embedding = nn.Parameter(interpolate(self.temporal_embedding.detach(), frames))

    def _embed(self, video_BTCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the summary tokens and the patches before the first layer."""
        b, t = video_BTCHW.shape[:2]
        grid = self.conv1(video_BTCHW.flatten(0, 1))
        patches_BTND = grid.flatten(2).transpose(1, 2).unflatten(0, (b, t))
        time_TD = interpolate(self.temporal_embedding, t)
        patches_BTND = patches_BTND + (self.positional_embedding[1:] + time_TD[:, None])
        cls_1D = self.class_embedding[None] + self.positional_embedding[:1]
        summary_SD = self.ln_pre(torch.cat((cls_1D, self.mst_embedding)))
        return summary_SD.expand(b, -1, -1), self.ln_pre(patches_BTND)


def interpolate(embedding_TD: torch.Tensor, frames: int) -> torch.Tensor:
    """Interpolate embeddings linearly in time to another number of frames; the first and the last are kept."""
    if embedding_TD.shape[0] == frames:
        return embedding_TD
    return F.interpolate(embedding_TD.T[None], size=frames, mode="linear", align_corners=True)[0].T.contiguous()


def check_supported(visual: nn.Module) -> None:
    """Refuse image towers that can't become video towers.

    Raises:
        UserError: `visual` is not open_clip's `VisionTransformer`, or has no pooled class token.
    """
    reason = _unsupported(visual)
    if reason:
        raise UserError(
            f"image tower {reason}; take one of open_clip's VisionTransformer towers with a class token, "
            "such as ViT-B-32, ViT-B-16 or ViT-L-14"
        )


def _unsupported(visual: Any) -> str | None:
    if type(visual) is not VisionTransformer:
        name = getattr(getattr(visual, "trunk", None), "__class__", type(visual)).__name__
        return f"{type(visual).__name__} ({name}) has no [CLS] token to build on"
    if visual.attn_pool is not None:
        return "VisionTransformer with attentional pooling is not supported"
    if visual.pool_type != "tok":
        return f"VisionTransformer with pool_type={visual.pool_type!r} is not supported"
    if not isinstance(visual.patch_dropout, nn.Identity):
        return "VisionTransformer with patch_dropout above 0 is not supported"
    if visual.image_size[0] != visual.image_size[1]:
        return f"VisionTransformer with pictures of {visual.image_size[0]}x{visual.image_size[1]} is not supported"
    if any(type(block) is not ResidualAttentionBlock for block in visual.transformer.resblocks):
        return "VisionTransformer with custom attention blocks (qk_norm, scaled cosine, ...) is not supported"
    return None
