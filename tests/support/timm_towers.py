"""Tiny image towers of timm, of each kind that open_clip's configurations name, with random weights.

They are registered with timm under the names below, so a configuration of open_clip can name them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import torch
from open_clip.timm_model import TimmModel
from timm.models import register_model
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

_SIZE: Final = {"img_size": 32, "patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 2, "mlp_ratio": 2.0}
_ROTARY: Final = {"use_rot_pos_emb": True, "ref_feat_shape": (2, 2)}
_PE: Final[Mapping[str, Any]] = {
    **_ROTARY, "attn_type": "rope", "use_pre_transformer_norm": True, "rope_grid_offset": 1.0,
    "rope_grid_indexing": "xy", "attn_pool_num_heads": 2, "attn_pool_mlp_ratio": 2.0,
    "norm_layer": partial(nn.LayerNorm, eps=1e-5),
}  # fmt: skip
_EVA02: Final[Mapping[str, Any]] = {
    **_ROTARY, "qkv_fused": False, "swiglu_mlp": True, "scale_mlp": True, "scale_attn_inner": True,
}  # fmt: skip


@register_model
def tiny_siglip(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """Build a tower like SigLIP's: no class token, attention pooling."""
    return VisionTransformer(**{**_SIZE, "class_token": False, "global_pool": "map", **_own(kwargs)})


@register_model
def tiny_pe(pretrained: bool = False, **kwargs: Any) -> Eva:
    """Build a tower like PE-Core's: class token, rotary positions, attention pooling that reads the class token."""
    return Eva(**{**_SIZE, **_PE, "global_pool": "map", **_own(kwargs)})


@register_model
def tiny_eva02(pretrained: bool = False, **kwargs: Any) -> Eva:
    """Build a tower like EVA02's: class token, rotary positions, SwiGLU, norms inside attention and MLP."""
    return Eva(**{**_SIZE, **_EVA02, "global_pool": "token", **_own(kwargs)})


def image_tower(name: str, pool: str, proj: str | None = "none", seed: int = 0, **kwargs: Any) -> TimmModel:
    """Build open_clip's wrapper around a tower of this module or of timm.

    Args:
        name: of the tower.
        pool: open_clip's `timm_pool`.
        proj: open_clip's `timm_proj`.
        seed: of the random weights; no parameter stays at zero or one.
        kwargs: changes of the trunk.
    """
    torch.manual_seed(seed)
    visual = TimmModel("tiny_siglip", 24, 32, pool="map", proj="none")
    build = {"tiny_siglip": tiny_siglip, "tiny_pe": tiny_pe, "tiny_eva02": tiny_eva02}[name]
    visual.trunk = build(global_pool=pool, num_classes=24 if proj is None else 0, **kwargs)
    visual.head = nn.Sequential() if proj != "linear" else nn.Sequential(nn.Linear(32, 24, bias=False))
    return stirred(visual)


def _own(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a tower, without those that timm adds about pretrained weights."""
    return {name: value for name, value in kwargs.items() if not name.startswith(("pretrained", "cache_dir"))}


def stirred(module: nn.Module) -> Any:
    """Move every parameter from its initial value, and return the module ready to evaluate."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return module.eval()
