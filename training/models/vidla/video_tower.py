"""The video tower: an image tower with hierarchical temporal attention in every layer.

`VideoTower.from_clip` takes the modules of an image tower of open_clip, under their names, and adds [MST] tokens,
temporal position embeddings and spatially local temporal attention. At the start it is close to the image tower.
`training.models.vidla.towers` has a subclass for each family of image towers; `training.models.vidla.two_tower` adds
the text tower.

Shapes: B clips, T frames, F frames of all clips, C colours, H height, W width, N patches a frame, D width, P tokens of
the image tower itself ([CLS] and registers), S summary tokens (these and [MST]), A = heads times the width of a head.
"""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import nn
from torch.nn import functional as F

from training.models.vidla.model_settings import Checkpointing, TemporalSettings
from training.models.vidla.projections import Projections
from training.models.vidla.recomputation import keep_inputs
from training.models.vidla.temporal_attention import (
    SpatiallyLocalAttention,
    attend_over_clip,
    attention_flops,
    global_attention,
    last_attention_flops,
    summary_mask,
)
from training.models.vidla.towers.attention_parts import AttentionParts

_MST_STD = 0.02
_NEW = ("mst_embedding", "temporal_embedding", ".temporal.")


def is_new(name: str) -> bool:
    """Return True if the parameter of this name has no counterpart in CLIP: it may have a learning rate of its own."""
    return any(part in f".{name}" for part in _NEW)


class VideoLayer(nn.Module, ABC):
    """One layer: attention over time for the patches, global attention for all tokens, MLP.

    A subclass takes over the modules of an image tower's block, under their names, and then calls `add_temporal`.
    """

    temporal: SpatiallyLocalAttention | None

    def __init__(self, settings: TemporalSettings, own_tokens: int = 1) -> None:
        super().__init__()
        self._hidden = 0 if settings.patch_sees_cls else own_tokens
        self.selective = True
        """True: keep tokens, projections and results of the attention for the backward pass, and compute the inside of
        norms and MLP again."""

    @property
    @abstractmethod
    def parts(self) -> AttentionParts:
        """Norm and projections of the block's attention."""

    @abstractmethod
    def attended_update(self, attended: torch.Tensor) -> torch.Tensor:
        """Return the update of tokens, [..., D], by what they attended to, [..., A]: the output projection."""

    @abstractmethod
    def mlp_update(self, x: torch.Tensor) -> torch.Tensor:
        """Return the update of tokens, [..., D], by the norm and the MLP."""

    def add_temporal(self, settings: TemporalSettings) -> None:
        """Add attention over time, a copy of the block's own attention, if the settings ask for it."""
        self.temporal = SpatiallyLocalAttention(self.parts) if settings.spatially_local else None

    def forward(
        self,
        summary_BSD: torch.Tensor,
        patches_BTND: torch.Tensor,
        mask_SK: torch.Tensor,
        rotation: torch.Tensor | None = None,
        first_token: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both kinds of token after this layer, in the same shapes.

        Args:
            summary_BSD: summary tokens.
            patches_BTND: patches.
            mask_SK: of `summary_mask`.
            rotation: rotary position embedding of a frame's patches, as timm has it; None: there is none.
            first_token: return the first summary token alone, [B, 1, D], and the patches as they were as keys: all
                that is needed of the last layer by a tower that pools [CLS].
        """
        patches_BTND = self._over_time(patches_BTND)
        parts = self.parts
        heads, project = parts.heads, Projections(parts, rotation, self.rotate_half, self.selective)
        if first_token:
            q_B1A, k_BTKA, v_BTKA = project.first_token(summary_BSD, patches_BTND)
            attended_B1A = attend_over_clip(q_B1A, k_BTKA, v_BTKA, heads, mask_SK[:1])
            return self._finish(summary_BSD[:, :1], attended_B1A), patches_BTND
        of_summary, of_patches = project.all_tokens(summary_BSD, patches_BTND)
        attended_BSA, attended_BTNA = global_attention(of_summary, of_patches, heads, mask_SK, self._hidden)
        return self._finish(summary_BSD, attended_BSA), self._finish(patches_BTND, attended_BTNA)

    @property
    def rotate_half(self) -> bool:
        """True if rotary positions turn the first half of the channels with the second, False: neighbours."""
        return False

    def _over_time(self, patches_BTND: torch.Tensor) -> torch.Tensor:
        """Add what attention over time finds, if there is any."""
        if self.temporal is None:
            return patches_BTND
        return patches_BTND + self.temporal(patches_BTND).type_as(patches_BTND)

    def _finish(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Return tokens after the block, from those before it, [..., D], and what they attended to, [..., A]."""
        x = x + self.attended_update(attended).type_as(x)
        return x + keep_inputs(self.mlp_update, x, if_=self.selective).type_as(x)


class VideoTower(nn.Module, ABC):
    """Turns clips into embeddings: what the image tower's pooling makes of the tokens after the last layer.

    A subclass takes over the modules of an image tower, under their names, and calls `add_time`.
    """

    mst_embedding: nn.Parameter
    temporal_embedding: nn.Parameter
    own_tokens: int
    """P, the tokens of the image tower beside its patches."""

    def __init__(self, temporal: TemporalSettings, image_size: int) -> None:
        super().__init__()
        self.settings = temporal
        self._checkpointing: Checkpointing = "selective"
        self.image_size = image_size
        """Side of a frame, pixels."""

    @classmethod
    @abstractmethod
    def takes(cls, visual: nn.Module) -> bool:
        """Return True for image towers of this family, supported or not."""

    @classmethod
    @abstractmethod
    def unsupported(cls, visual: nn.Module) -> str | None:
        """Return why an image tower of this family can't become a video tower; None if it can."""

    @classmethod
    @abstractmethod
    def of(cls, visual: nn.Module, temporal: TemporalSettings, frames: int) -> Self:
        """Take over the modules of an image tower, which must not be used afterwards; see `from_clip`."""

    @property
    @abstractmethod
    def layers(self) -> Sequence[VideoLayer]:
        """The layers, in order."""

    @property
    @abstractmethod
    def patches(self) -> int:
        """N, the patches of a frame."""

    @property
    @abstractmethod
    def pools_patches(self) -> bool:
        """True if `pool` reads the patches, False: only [CLS]."""

    @property
    @abstractmethod
    def projection(self) -> Sequence[nn.Parameter]:
        """Parameters of `project`."""

    @abstractmethod
    def embed_frames(self, frames_FCHW: torch.Tensor) -> torch.Tensor:
        """Return the patches of frames with their positions, [F, N, D], before `norm_before`."""

    @abstractmethod
    def embed_own(self) -> torch.Tensor:
        """Return the image tower's own tokens with their positions, [P, D], before `norm_before`."""

    @abstractmethod
    def norm_before(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise tokens before the first layer, as the image tower does."""

    @abstractmethod
    def pool(self, summary_BSD: torch.Tensor, patches_BTND: torch.Tensor) -> torch.Tensor:
        """Return one vector a clip, with the norms around it, [B, D]: the input of a projection or a head."""

    @abstractmethod
    def project(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Return the embeddings [B, E] of `features`."""

    def rotations(self) -> Sequence[torch.Tensor | None]:
        """Return the rotary position embedding of a frame's patches, by layer; None: there is none."""
        return [None] * len(self.layers)

    def add_time(self, frames: int, width: int) -> None:
        """Add [MST] tokens, and temporal position embeddings of zero.

        Args:
            frames: temporal position embeddings.
            width: D.
        """
        self.mst_embedding = nn.Parameter(torch.randn(self.settings.mst_tokens, width) * _MST_STD)
        self.temporal_embedding = nn.Parameter(torch.zeros(frames, width))

    @classmethod
    def from_clip(cls, visual: nn.Module, temporal: TemporalSettings, frames: int) -> VideoTower:
        """Make a video tower from an image tower, which is copied.

        Args:
            visual: an image tower of open_clip, of a family in `training.models.vidla.towers.tower_registry`.
            temporal: the attention that is added.
            frames: temporal position embeddings; clips of other lengths interpolate them.

        Raises:
            UserError: the tower is of another kind, or the levels don't allow that number of frames.
        """
        from training.models.vidla.towers.tower_registry import family_of  # the families are subclasses of this one

        temporal.check_frames(frames)
        return family_of(visual).of(copy.deepcopy(visual), temporal, frames)

    @property
    def checkpointing(self) -> Checkpointing:
        """The part of a layer that is computed again in the backward pass, as in `ModelSettings`."""
        return self._checkpointing

    @checkpointing.setter
    def checkpointing(self, what: Checkpointing) -> None:
        self._checkpointing = what
        for layer in self.layers:
            layer.selective = what == "selective"
            if layer.temporal is not None:
                layer.temporal.selective = what == "selective"

    @property
    def width(self) -> int:
        """D, the width of the tokens and of the features."""
        return self.mst_embedding.shape[1]

    @property
    def frames(self) -> int:
        """Number of temporal position embeddings."""
        return self.temporal_embedding.shape[0]

    def forward(self, video_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the embeddings [B, E] of normalised clips; projected, not of unit length. See `features`."""
        return self.project(self.features(video_BTCHW))

    def features(self, video_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return what is pooled after the last layer, [B, D], the input of the projection or a classification head.

        Any T is possible: temporal position embeddings are interpolated, with aligned ends, and the strides of the
        levels are those of `TemporalSettings.fitting_stride`.
        """
        summary_BSD, patches_BTND = self._embed(video_BTCHW)
        mask_SK = summary_mask(self.settings, patches_BTND, self.own_tokens)
        layers = list(zip(self.layers, self.rotations(), strict=True))
        for number, (layer, rotation) in enumerate(layers, start=1):
            ends = number == len(layers) and not self.pools_patches
            given = (summary_BSD, patches_BTND, mask_SK, rotation, ends)
            summary_BSD, patches_BTND = keep_inputs(layer, *given, if_=self.checkpointing == "layers")
        return self.pool(summary_BSD, patches_BTND)

    def flops(self, frames: int) -> float:
        """Return the forward FLOPs of one clip (two a multiply-add) in convolution, projections, attention and MLP."""
        tokens = self.own_tokens + self.settings.mst_tokens + frames * self.patches
        weights = [2.0 * _matrices(layer, without="temporal.") for layer in self.layers]
        size = (self.settings, frames, self.patches, self._inner, self.own_tokens)
        layers = tokens * sum(weights[:-1]) + (len(weights) - 1) * attention_flops(*size)
        if self.pools_patches:
            layers += tokens * weights[-1] + attention_flops(*size)
        else:  # the last layer takes keys and values of all tokens, and everything else of one
            of_keys = 2.0 * 2 * self.width * self._inner
            layers += tokens * of_keys + weights[-1] - of_keys + last_attention_flops(*size)
        if self.settings.spatially_local:
            layers += 2.0 * frames * self.patches * len(weights) * 4 * self.width * self._inner
        head = self.pool_flops(frames) + 2.0 * sum(weight.numel() for weight in self.projection if weight.ndim == 2)
        return frames * self._patch_flops() + layers + head

    def pool_flops(self, frames: int) -> float:
        """Return the forward FLOPs of `pool` for one clip."""
        return 0.0

    def step_flops(self, frames: int) -> float:
        """Return the FLOPs that forward and backward of one clip spend; recomputation is not counted.

        The backward pass takes twice the forward pass, but for the pixels of the input, which no gradient reaches.
        """
        return 3 * self.flops(frames) - frames * self._patch_flops()

    @property
    def _inner(self) -> int:
        """A: the heads' channels together."""
        return self.layers[0].parts.weight.shape[0] // 3

    def _patch_flops(self) -> float:
        """Return the forward FLOPs of one frame's patch embedding."""
        return 2.0 * self.patches * 3 * (self.image_size**2 / self.patches) * self.width

    def resize(self, frames: int) -> None:
        """Replace the temporal position embeddings by interpolated ones for another number of frames."""
        if frames != self.frames:
            logging.getLogger(__name__).info("temporal position embeddings: %d -> %d frames", self.frames, frames)
            self.temporal_embedding = nn.Parameter(interpolate(self.temporal_embedding.detach(), frames))

    def _embed(self, video_BTCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the summary tokens and the patches before the first layer."""
        b, t = video_BTCHW.shape[:2]
        patches_BTND = self.embed_frames(video_BTCHW.flatten(0, 1)).unflatten(0, (b, t))
        patches_BTND = patches_BTND + interpolate(self.temporal_embedding, t)[:, None]
        summary_SD = self.norm_before(torch.cat((self.embed_own(), self.mst_embedding)))
        return _in_autocast(summary_SD).expand(b, -1, -1), _in_autocast(self.norm_before(patches_BTND))


def _in_autocast(x: torch.Tensor) -> torch.Tensor:
    """Convert tokens to the type of autocast, so that all layers add to them in it; without autocast they stay."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def interpolate(embedding_TD: torch.Tensor, frames: int) -> torch.Tensor:
    """Interpolate embeddings linearly in time to another number of frames; the first and the last are kept."""
    if embedding_TD.shape[0] == frames:
        return embedding_TD
    return F.interpolate(embedding_TD.T[None], size=frames, mode="linear", align_corners=True)[0].T.contiguous()


def _matrices(module: nn.Module, without: str) -> int:
    """Return the number of weights in a module's matrices, but for those whose names begin with `without`."""
    named = module.named_parameters()
    return sum(weight.numel() for name, weight in named if weight.ndim == 2 and not name.startswith(without))
