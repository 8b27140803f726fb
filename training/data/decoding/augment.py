"""The paper's augmentation, multi-scale crops and a mirror: drawn on the CPU, applied to a batch on its device.

A worker draws a `Crop` for each clip and hands on the square window of its frames that the crop lies in
(`window_of`); `to_model_input` then crops, scales, mirrors and normalises the whole batch. Scaling is two matrix
products, rows and columns, with the antialiased bilinear filter of torchvision (and PIL): a batch of different crops
in one go, which no library offers.

Shapes: B clips, T frames, S pixels of the window's side, C = 3 colours, H = W = the model's side.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from runtime.settings import Settings
from training.data.records import Crop

_CHUNK_BYTES = 1 << 28  # of float32 frames worked on at a time


class AugmentSettings(Settings):
    """Random changes to a training clip; the same for all of its frames."""

    scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(1.0, 0.8), min_length=1)
    """Sides of the square crop, as shares of the frame's short side; one is drawn for each clip."""
    flip: bool = True
    """Mirror half of the clips left to right (off for data whose texts name left and right)."""
    center: bool = False
    """Crop from the middle of the frame, not from anywhere in it (the paper's finetuning)."""


def draw_crop(rng: random.Random, settings: AugmentSettings) -> Crop:
    """Draw a clip's crop: its scale, its place, and whether it is mirrored."""
    scale = settings.scales[int(rng.random() * len(settings.scales))]
    x, y, coin = rng.random(), rng.random(), rng.random()
    x, y = (0.5, 0.5) if settings.center else (x, y)
    return Crop(scale=scale, x=x, y=y, flip=settings.flip and coin < 0.5)


def window_of(crop: Crop, width: int, height: int) -> tuple[int, int, tuple[float, float, float, float]]:
    """Where the square window with a frame's short side as its side lies, and the crop within it.

    Args:
        crop: of the clip.
        width: of the frame, pixels.
        height: of the frame, pixels.

    Returns:
        Left and top of the window, pixels; and a row of `Batch.crop_B4`.
    """
    side = min(width, height)
    cropped = crop.scale * side
    left, top = crop.x * (width - cropped), crop.y * (height - cropped)
    window_left, window_top = (_around(at, cropped, side, free) for at, free in ((left, width), (top, height)))
    return (
        window_left,
        window_top,
        (
            min(max((left - window_left) / side, 0.0), 1.0 - crop.scale),
            min(max((top - window_top) / side, 0.0), 1.0 - crop.scale),
            crop.scale,
            float(crop.flip),
        ),
    )


def _around(at: float, cropped: float, side: int, length: int) -> int:
    """Begin of a window of `side` that holds `cropped` pixels from `at` on, as near to their middle as may be."""
    return min(max(round(at + (cropped - side) / 2), 0), length - side)


def to_model_input(
    video_BTSSC: Tensor,
    crop_B4: Tensor,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Crop, scale, mirror and normalise a batch on the device it lies on.

    Args:
        video_BTSSC: uint8 RGB.
        crop_B4: float32: left, top and side as shares of S; 1 where mirrored.
        size: side of the result, pixels.
        mean: of each colour, 0 to 1.
        std: of each colour.
        dtype: of the result; all is computed in float32.

    Returns:
        [B, T, 3, size, size].
    """
    clips, frames, side = video_BTSSC.shape[:3]
    columns_BWS = _filters(crop_B4[:, 0] * side, crop_B4[:, 2] * side, size, side)
    columns_BWS = torch.where(crop_B4[:, 3, None, None] > 0.5, columns_BWS.flip(1), columns_BWS)
    rows_BHS = _filters(crop_B4[:, 1] * side, crop_B4[:, 2] * side, size, side)
    shift_C, factor_C = (torch.tensor(values, device=video_BTSSC.device).view(3, 1, 1) * 255 for values in (mean, std))
    result = video_BTSSC.new_empty((clips, frames, 3, size, size), dtype=dtype)
    step = max(1, _CHUNK_BYTES // (frames * side * side * 12))
    with torch.autocast(video_BTSSC.device.type, enabled=False):
        for part in (slice(begin, begin + step) for begin in range(0, clips, step)):
            scaled_BTCHW = _resample(video_BTSSC[part], rows_BHS[part], columns_BWS[part])
            result[part] = scaled_BTCHW.sub_(shift_C).div_(factor_C)
    return result


def _resample(video_BTSSC: Tensor, rows_BHS: Tensor, columns_BWS: Tensor) -> Tensor:
    clips, frames, side = video_BTSSC.shape[:3]
    size = rows_BHS.shape[1]
    flat_BNS = video_BTSSC.permute(0, 1, 4, 2, 3).float().reshape(clips, -1, side)
    narrow_BFSW = torch.bmm(flat_BNS, columns_BWS.transpose(1, 2)).view(clips, frames * 3, side, size)
    return torch.matmul(rows_BHS[:, None], narrow_BFSW).view(clips, frames, 3, size, size)


def _filters(begin_B: Tensor, length_B: Tensor, size: int, side: int) -> Tensor:
    """For each clip the weights [size, side] that scale `length` pixels from `begin` on to `size` pixels.

    A triangle filter as wide as one result pixel (at least as one source pixel), cut at the crop's edges to whole
    pixels and normalised: what PIL and torchvision with antialias compute.
    """
    at = torch.arange(side, device=begin_B.device, dtype=torch.float32)
    scale_B11 = (length_B / size)[:, None, None]
    reach_B11 = scale_B11.clamp(min=1.0)
    centre_BO1 = begin_B[:, None, None] + (torch.arange(size, device=begin_B.device)[:, None] + 0.5) * scale_B11
    weights = (1.0 - (at + 0.5 - centre_BO1).abs() / reach_B11).clamp(min=0.0)
    first_B11, last_B11 = begin_B.floor()[:, None, None], (begin_B + length_B).ceil()[:, None, None]
    weights = weights * ((at >= first_B11) & (at < last_B11))
    return weights / weights.sum(dim=2, keepdim=True)
