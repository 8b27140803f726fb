"""Frames as networks take them: scaled, cropped to the middle, normalised, in half precision on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.functional import resize

from training.data.decoding.clip_decoder import Frame


def scaled(frame: Frame, short_side: int) -> Frame:
    """A frame with a short side of so many pixels."""
    if min(frame.shape[:2]) == short_side:
        return frame
    picture_CHW = torch.from_numpy(frame).permute(2, 0, 1)
    return np.ascontiguousarray(resize(picture_CHW, [short_side], antialias=True).permute(1, 2, 0).numpy())


def cropped(frame: Frame, side: int) -> Frame:
    """The middle square of a frame."""
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return np.ascontiguousarray(frame[top : top + side, left : left + side])


def normalised(
    pictures: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float], device: torch.device
) -> torch.Tensor:
    """float32 [..., C, H, W] on the device, of uint8 [..., H, W, C]."""
    on_device = torch.from_numpy(pictures).to(device).movedim(-1, -3).float()
    shift_C, factor_C = (torch.tensor(values, device=device).view(3, 1, 1) * 255 for values in (mean, std))
    return (on_device - shift_C) / factor_C


def autocast(device: torch.device) -> torch.autocast:
    """Half precision on a GPU: what is kept of the features has no more."""
    return torch.autocast(device.type, torch.float16, enabled=device.type == "cuda")
