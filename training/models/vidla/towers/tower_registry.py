"""The families of image towers that can become video towers: one file and one line a family."""

from __future__ import annotations

from typing import Final

from torch import nn

from runtime.errors import UserError
from training.models.vidla.towers.clip_tower import ClipTower
from training.models.vidla.towers.timm_eva_tower import EvaTower
from training.models.vidla.towers.timm_vit_tower import VitTower
from training.models.vidla.video_tower import VideoTower

FAMILIES: Final[tuple[type[VideoTower], ...]] = (ClipTower, VitTower, EvaTower)
"""Each takes another class of image tower."""

_REMEDY: Final = (
    "take a ViT of open_clip: ViT-B-32, ViT-B-16 or ViT-L-14 with any tag, ViT-B-16-SigLIP2, PE-Core-B-16, EVA02-B-16"
)


def family_of(visual: nn.Module) -> type[VideoTower]:
    """Return the family of an image tower of open_clip.

    Raises:
        UserError: no family takes it, or its own does not support it; the message has the reason.
    """
    name = _name(visual)
    family = next((family for family in FAMILIES if family.takes(visual)), None)
    if family is None:
        raise UserError(f"image tower {name}: has no ViT blocks that attention over time could be added to; {_REMEDY}")
    reason = family.unsupported(visual)
    if reason is not None:
        raise UserError(f"image tower {name}: {reason}; {_REMEDY}")
    return family


def _name(visual: nn.Module) -> str:
    """Return the class of an image tower, with that of timm's model inside."""
    trunk = getattr(visual, "trunk", None)
    inside = f" ({type(trunk).__module__.rpartition('.')[2]}.{type(trunk).__name__})" if trunk is not None else ""
    return f"{type(visual).__name__}{inside}"
