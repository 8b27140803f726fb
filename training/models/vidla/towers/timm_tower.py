"""The common part of timm's vision transformers as video towers: the trunk with its own tokens, pooling and head.

open_clip wraps such a trunk in a `TimmModel`, with a projection behind it. Both keep their parameters' names. A family
gives the class of its trunk and of its layers (`timm_vit_tower`, `timm_eva_tower`).

Pooling of the image tower, and what it reads in a video:

    token    [CLS], which attends to the patches of all frames in each layer
    map      attention of a learnt query to all [MST] and the patches of all frames, and to [CLS] if the image tower's
             pooling reads that (PE): the query is the top of the hierarchy where there is no [CLS] (SigLIP)
    avg      the average of the patches of all frames; [MST] reach it through the patches that attend to them

Shapes: B clips, T frames, F frames, C colours, H height, W width, N patches a frame, D width, P own tokens, S summary
tokens, K keys of the pooling.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self, cast

import torch
from open_clip.timm_model import TimmModel
from timm.layers import AttentionPoolLatent, DropPath, PatchEmbed
from torch import nn

from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.temporal_attention import own_bias
from training.models.vidla.video_tower import VideoLayer, VideoTower

_POOLS = ("token", "map", "avg")


class TimmTower(VideoTower):
    """A video tower with the modules of open_clip's `TimmModel` around one of timm's vision transformers."""

    trunk_class: ClassVar[type[nn.Module]]
    """Class of the trunk that the family takes."""

    def __init__(self, visual: TimmModel, temporal: TemporalSettings, frames: int) -> None:
        super().__init__(temporal, int(visual.image_size[0]))
        trunk: Any = visual.trunk
        self.own_tokens = int(trunk.num_prefix_tokens)
        self._pool, self._pools_own = str(trunk.global_pool), self.pools_own_tokens(trunk)
        self.trunk = trunk
        self.trunk.blocks = nn.ModuleList(self.layer(block, temporal) for block in trunk.blocks)
        self.head = visual.head
        self.add_time(frames, int(trunk.embed_dim))

    @classmethod
    @abstractmethod
    def unsupported_block(cls, block: nn.Module) -> str | None:
        """Return why a block can't take attention over time; None if it can."""

    @classmethod
    @abstractmethod
    def pools_own_tokens(cls, trunk: Any) -> bool:
        """Return True if attention pooling reads the image tower's own tokens."""

    @abstractmethod
    def layer(self, block: nn.Module, temporal: TemporalSettings) -> VideoLayer:
        """Return the layer with the modules of a block."""

    @classmethod
    def takes(cls, visual: nn.Module) -> bool:
        """Return True for a `TimmModel` around the family's class."""
        return isinstance(visual, TimmModel) and type(visual.trunk) is cls.trunk_class

    @classmethod
    def unsupported(cls, visual: Any) -> str | None:
        """Return why a `TimmModel` can't become a video tower; None if it can."""
        trunk = visual.trunk
        if trunk.global_pool not in _POOLS or "pool" in dict(visual.head.named_children()):
            return f"its pooling ({trunk.global_pool or 'over a grid'}) is none of {', '.join(_POOLS)}"
        if trunk.global_pool == "avg" and cls.pools_own_tokens(trunk):
            return "its average includes tokens that are not patches"
        if type(trunk.patch_embed) is not PatchEmbed:
            return f"its patches come from {type(trunk.patch_embed).__name__}, a network of another kind"
        if visual.image_size[0] != visual.image_size[1]:
            return f"its pictures of {visual.image_size[0]}x{visual.image_size[1]} are not square"
        if type(getattr(trunk, "attn_pool", None)) not in (type(None), AttentionPoolLatent):
            return f"its pooling is {type(trunk.attn_pool).__name__}"
        if any(map(_drops, trunk.modules())) or not isinstance(trunk.patch_drop, nn.Identity | None):
            return "dropout, drop_path or patch_drop is above 0; set it to 0 in the configuration"
        return next(filter(None, map(cls.unsupported_block, trunk.blocks)), None)

    @classmethod
    def of(cls, visual: nn.Module, temporal: TemporalSettings, frames: int) -> Self:
        """Take over the modules of a `TimmModel`."""
        return cls(cast(TimmModel, visual), temporal, frames)

    @property
    def layers(self) -> Sequence[VideoLayer]:
        """The layers, in order."""
        return list(self.trunk.blocks)

    @property
    def patches(self) -> int:
        """N, the patches of a frame."""
        return int(self.trunk.patch_embed.num_patches)

    @property
    def pools_patches(self) -> bool:
        """True unless [CLS] is pooled."""
        return self._pool != "token"

    @property
    def projection(self) -> Sequence[nn.Parameter]:
        """Parameters after the pooling and its norm."""
        return [*self.trunk.head.parameters(), *self.head.parameters()]

    def embed_frames(self, frames_FCHW: torch.Tensor) -> torch.Tensor:
        """Return the patches of frames with their absolute positions, if the tower has these, [F, N, D]."""
        patches_FND = self.trunk.patch_embed(frames_FCHW)
        if patches_FND.ndim == 4:  # a grid, where the image tower takes pictures of any size
            patches_FND = patches_FND.flatten(1, 2)
        positions = self._positions()
        return patches_FND if positions is None else patches_FND + positions[-self.patches :]

    def embed_own(self) -> torch.Tensor:
        """Return [CLS] and registers, [P, D], with the positions that the tower gives them."""
        trunk = self.trunk
        own = [token[0] for token in (trunk.cls_token, trunk.reg_token) if token is not None]
        if not own:
            return self.mst_embedding.new_empty(0, self.width)
        own_PD, positions = torch.cat(own), self._positions()
        return own_PD if positions is None or trunk.no_embed_class else own_PD + positions[: self.own_tokens]

    def norm_before(self, x: torch.Tensor) -> torch.Tensor:
        """Apply `norm_pre`."""
        return cast(torch.Tensor, self.trunk.norm_pre(x))

    def pool(self, summary_BSD: torch.Tensor, patches_BTND: torch.Tensor) -> torch.Tensor:
        """Return the pooled vector, with the norms before and after pooling, [B, D]; see the module."""
        trunk = self.trunk
        if self._pool == "token":
            pooled_BD = trunk.norm(summary_BSD[:, 0])
        elif self._pool == "avg":
            pooled_BD = trunk.norm(patches_BTND).mean(dim=(1, 2))
        else:
            pooled_BD = self._attended(trunk.norm(summary_BSD), trunk.norm(patches_BTND))
        return cast(torch.Tensor, trunk.fc_norm(pooled_BD))

    def project(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Apply the trunk's head and the projection behind it, whichever there is."""
        return cast(torch.Tensor, self.head(self.trunk.head(features_BD)))

    def pool_flops(self, frames: int) -> float:
        """Return the forward FLOPs of attention pooling: keys and values of all tokens, and the products with them."""
        if self._pool != "map":
            return 0.0
        keys = self.settings.mst_tokens + self.own_tokens * self._pools_own + frames * self.patches
        pool = self.trunk.attn_pool
        once = sum(weight.numel() for weight in pool.parameters() if weight.ndim == 2) - pool.kv.weight.numel()
        return 2.0 * (keys * pool.kv.weight.numel() + once) + 4.0 * keys * self.width

    def _positions(self) -> torch.Tensor | None:
        """Return the absolute position embeddings, of own tokens and patches or of patches alone; None: no such."""
        return None if self.trunk.pos_embed is None else cast(torch.Tensor, self.trunk.pos_embed[0])

    def _attended(self, summary_BSD: torch.Tensor, patches_BTND: torch.Tensor) -> torch.Tensor:
        """Return what the pooling's query finds in own tokens, [MST] and patches, [B, D]."""
        own = self.own_tokens if self._pools_own else 0
        keys_BKD = torch.cat((summary_BSD[:, self.own_tokens - own :], patches_BTND.flatten(1, 2)), dim=1)
        bias, pool = own_bias(self.settings, patches_BTND.shape[1]), self.trunk.attn_pool
        if not own or not bias:
            return cast(torch.Tensor, pool(keys_BKD))
        mask_1K = keys_BKD.new_zeros(1, keys_BKD.shape[1])
        mask_1K[:, :own] = bias
        return cast(torch.Tensor, pool(keys_BKD, attn_mask=mask_1K))


def _drops(module: nn.Module) -> bool:
    """Return True if a module leaves something out at random in training."""
    rate = module.p if isinstance(module, nn.Dropout) else module.drop_prob if isinstance(module, DropPath) else 0.0
    return bool(rate)
