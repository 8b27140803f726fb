"""The towers that are compared. All start from the same frame-wise model, and differ in attention over time alone.

`U-V-r` is levels, [MST] a level, and the scale of the frames that each level sees. *Token-matched* variants have twelve
[MST]; the bottleneck has three. *Shuffled* levels see as many frames as those of 3-4-2, but drawn at random: the frames
are put in one random order before the tower, which changes nothing else, as the embeddings of time start from zero and
attention does not know positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from bench.learns.queries import CONTEXT, FRAMES, vocabulary
from bench.learns.things import SIZE, SPRITE
from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.two_tower import Architecture, VidLA, build_clip

WIDTH, LAYERS = 32, 2
MEAN, STD = 0.3, 0.3

Encoder = Callable[[torch.Tensor], torch.Tensor]
"""Maps clips [B, T, C, H, W] to embeddings [B, D] of unit length."""


@dataclass(frozen=True)
class Variant:
    """A tower for clips."""

    name: str
    temporal: TemporalSettings | None
    """None: the mean of the frames' embeddings."""
    shuffled: bool = False
    """Put the frames in a random order, the same for all clips."""


def _levels(name: str, levels: int, tokens: int, scale: int, shuffled: bool = False) -> list[Variant]:
    """Return the variant without and with spatially local attention."""
    return [
        Variant(
            name + suffix,
            TemporalSettings(levels=levels, tokens_per_level=tokens, scale=scale, spatially_local=local),
            shuffled,
        )
        for suffix, local in (("", False), (" + local", True))
    ]


VARIANTS: Final[dict[str, Variant]] = {
    variant.name: variant
    for variant in (
        Variant("frame average", None),
        *_levels("no [MST]", 0, 1, 1),
        *_levels("1-12-1", 1, 12, 1),
        *_levels("3-4-1", 3, 4, 1),
        *_levels("3-4-2", 3, 4, 2),
        *_levels("3-4-2 shuffled", 3, 4, 2, shuffled=True),
        *_levels("1-3-1", 1, 3, 1)[:1],
        *_levels("3-1-2", 3, 1, 2)[:1],
    )
}


def architecture(temporal: TemporalSettings | None) -> Architecture:
    """Return the configuration of a variant; the frame-wise model's is that of no attention over time."""
    settings = temporal or TemporalSettings(levels=0, spatially_local=False)
    return {
        "embed_dim": WIDTH,
        "quick_gelu": False,
        "vision_cfg": {
            "image_size": SIZE,
            "patch_size": SPRITE,
            "width": WIDTH,
            "layers": LAYERS,
            "head_width": 16,
            "mlp_ratio": 2.0,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": len(vocabulary()) + 2,
            "width": WIDTH,
            "heads": 2,
            "layers": 2,
        },
        "temporal": settings.model_dump(mode="json"),
        "frames": FRAMES if temporal else 1,
        "mean": [MEAN] * 3,
        "std": [STD] * 3,
    }


def build_variant(variant: Variant, clip_state: dict[str, torch.Tensor], seed: int) -> tuple[VidLA, Encoder]:
    """Build a variant from the weights of the frame-wise CLIP; new parameters are drawn with `seed`."""
    torch.manual_seed(seed)
    described = architecture(variant.temporal)
    clip = build_clip(described)
    clip.load_state_dict(clip_state)
    model = VidLA(clip, described)
    nn.init.constant_(model.logit_scale, clip_state["logit_scale"].item())
    if variant.temporal is None:
        return model, _frame_average(model)
    return model, _in_order(model, seed) if variant.shuffled else model.encode_video


def _frame_average(model: VidLA) -> Encoder:
    """Return the baseline's encoder: each frame is a clip; the mean of the embeddings is scaled to unit length."""

    def encode(video_BTCHW: torch.Tensor) -> torch.Tensor:
        frames_FD = model.encode_video(video_BTCHW.flatten(0, 1)[:, None], normalize=False)
        return F.normalize(frames_FD.view(*video_BTCHW.shape[:2], -1).mean(1), dim=-1)

    return encode


def _in_order(model: VidLA, seed: int) -> Encoder:
    """Return the encoder of shuffled levels."""
    order_T = torch.from_numpy(np.random.default_rng((seed, FRAMES)).permutation(FRAMES))
    return lambda video_BTCHW: model.encode_video(video_BTCHW[:, order_T])
