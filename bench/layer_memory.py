"""Memory that a layer of the video tower keeps for its backward pass, eager, under bfloat16 autocast.

    python -m bench.layer_memory

Counted are the bytes of all distinct tensors that autograd saves: what a fourth layer adds to three, and a second clip
to one, which leaves out weights and masks. Nothing depends on the machine.
"""

from __future__ import annotations

from typing import Final

import torch
from open_clip.transformer import VisionTransformer

from training.models.vidla.model_settings import Checkpointing, TemporalSettings
from training.models.vidla.video_tower import VideoTower

_CHOICES: Final[tuple[Checkpointing, ...]] = ("none", "selective", "layers")


def saved_bytes(
    settings: TemporalSettings, what: Checkpointing, side: int = 224, patch: int = 16, width: int = 64, frames: int = 12
) -> float:
    """Return the bytes that a layer keeps for each channel of a token.

    Args:
        settings: the attention that is added.
        what: what is computed again.
        side: side of a frame, pixels.
        patch: side of a patch, pixels.
        width: channels of a token, of one head.
        frames: frames of the one clip.
    """
    tokens = 1 + settings.mst_tokens + frames * (side // patch) ** 2
    shape = {"image_size": side, "patch_size": patch, "width": width, "heads": 1, "mlp_ratio": 4.0, "output_dim": 8}
    of_clip = []
    for layers in (3, 4):
        tower = VideoTower.from_clip(VisionTransformer(**shape, layers=layers), settings, frames)
        tower.checkpointing = what
        one, two = (_saved(tower, torch.randn(clips, frames, 3, side, side)) for clips in (1, 2))
        of_clip.append(two - one)
    return (of_clip[1] - of_clip[0]) / (tokens * width)


def _saved(tower: VideoTower, video_BTCHW: torch.Tensor) -> int:
    """Return the bytes of all distinct storages that the forward pass saves."""
    sizes: dict[int, int] = {}
    kept: list[torch.Tensor] = []  # so that no address is used twice

    def pack(x: torch.Tensor) -> torch.Tensor:
        kept.append(x)
        sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x), torch.autocast("cpu", torch.bfloat16):
        tower(video_BTCHW)
    return sum(sizes.values())


def main() -> int:
    """Measure and print Markdown."""
    print("| patches of a frame | checkpointing | bytes of a token's channel | target |\n|---|---|---|---|")
    for patch in (16, 32):
        for what in _CHOICES:
            found = saved_bytes(TemporalSettings(), what, patch=patch)
            print(f"| {(224 // patch) ** 2} | {what} | {found:.1f} | {24 if what == 'selective' else ''} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
