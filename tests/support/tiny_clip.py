"""Small towers of open_clip with asymmetric random weights, so that a wrong mask changes the output."""

import torch
from open_clip.model import CustomTextCLIP
from open_clip.transformer import VisionTransformer
from torch import nn

from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.video_tower import VideoTower

VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}


def tiny_visual(seed: int = 0, **changes: object) -> VisionTransformer:
    """4 patches of 16 px, width 32, 2 heads, 2 layers, 24 out."""
    torch.manual_seed(seed)
    options = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "heads": 2, "mlp_ratio": 2.0}
    return VisionTransformer(**{**options, "output_dim": 24, **changes})


def tiny_clip(seed: int = 0, quick_gelu: bool = False) -> CustomTextCLIP:
    """Build both towers, small."""
    torch.manual_seed(seed)
    return CustomTextCLIP(24, dict(VISION), dict(TEXT), quick_gelu)


def stirred_tower(temporal: TemporalSettings, frames: int, seed: int = 0, **changes: object) -> VideoTower:
    """Build a video tower with no parameter at its neutral initial value."""
    tower = VideoTower.from_clip(tiny_visual(seed, **changes), temporal, frames)
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return tower.eval()


def gradients(module: nn.Module, output: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the gradients of a fixed random projection of `output`, by parameter."""
    module.zero_grad(set_to_none=True)
    weight = torch.randn(output.shape, generator=torch.Generator().manual_seed(7))
    (output * weight).sum().backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
