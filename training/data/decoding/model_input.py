"""Batches of frames as model input: cropped, scaled, mirrored and normalised on their device.

Scaling is two matrix products, over rows and over columns, with the antialiased bilinear filter of torchvision and
PIL. Written here because no library scales a batch of different crops in one operation.

Shapes: B clips, T frames, S pixels of the window's side, C = 3 colours, H = W = the model's side.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_CHUNK_BYTES = 1 << 28  # of float32 frames that are processed at a time


def to_model_input(
    video_BTSSC: Tensor,
    crop_B4: Tensor,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Crop, scale, mirror and normalise a batch on its own device.

    Args:
        video_BTSSC: uint8 RGB.
        crop_B4: float32: left, top and side as shares of S; then 1 to mirror the clip, or 0.
        size: side of the result, pixels.
        mean: of each colour, 0 to 1.
        std: of each colour.
        dtype: of the result; the computation is in float32.

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
    """Return the weights [B, size, side] that scale the `length` pixels from `begin` to `size` pixels, for each clip.

    A triangle filter as wide as one result pixel (but at least one source pixel), cut at the crop's edges to whole
    pixels and normalised, as PIL and torchvision with antialias compute it.
    """
    at = torch.arange(side, device=begin_B.device, dtype=torch.float32)
    scale_B11 = (length_B / size)[:, None, None]
    reach_B11 = scale_B11.clamp(min=1.0)
    centre_BO1 = begin_B[:, None, None] + (torch.arange(size, device=begin_B.device)[:, None] + 0.5) * scale_B11
    weights = (1.0 - (at + 0.5 - centre_BO1).abs() / reach_B11).clamp(min=0.0)
    first_B11, last_B11 = begin_B.floor()[:, None, None], (begin_B + length_B).ceil()[:, None, None]
    weights = weights * ((at >= first_B11) & (at < last_B11))
    return weights / weights.sum(dim=2, keepdim=True)
