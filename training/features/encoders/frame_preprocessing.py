"""Frames as networks take them: scaled, cropped to the centre square, normalised, in half precision on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.functional import resize

from training.data.decoding.frame_sampling import Frame


def scaled(frame: Frame, short_side: int) -> Frame:
    """Scale a frame to a short side of `short_side` pixels."""
    if min(frame.shape[:2]) == short_side:
        return frame
    picture_CHW = torch.from_numpy(frame).permute(2, 0, 1)
    return np.ascontiguousarray(resize(picture_CHW, [short_side], antialias=True).permute(1, 2, 0).numpy())


def center_cropped(frame: Frame, side: int) -> Frame:
    """Return the centre square of a frame, `side` pixels wide."""
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return np.ascontiguousarray(frame[top : top + side, left : left + side])


def normalised(
    pictures: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float], device: torch.device
) -> torch.Tensor:
    """Return uint8 pictures [..., H, W, C] as normalised float32 [..., C, H, W] on the device."""
    on_device = torch.from_numpy(pictures).to(device).movedim(-1, -3).float()
    shift_C, factor_C = (torch.tensor(values, device=device).view(3, 1, 1) * 255 for values in (mean, std))
    return (on_device - shift_C) / factor_C


def half_precision(device: torch.device) -> torch.autocast:
    """Return a context that computes in half precision on a GPU: features are stored in half precision."""
    return torch.autocast(device.type, torch.float16, enabled=device.type == "cuda")
