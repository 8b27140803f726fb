"""The frames that a video tower takes: their size in pixels, and the mean and deviation they are normalised with.

Shapes: B clips, T frames, S pixels of a side, C colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.decoding.model_input import to_model_input
from training.evaluation.video.models.video_text_model import VideoTextModel

Frames = NDArray[np.uint8]
"""Frames [T, S, S, 3] of one clip."""


@dataclass(frozen=True)
class FrameFormat:
    """Size and normalisation of a tower's frames."""

    size: int
    """Pixels of a side."""
    mean: Sequence[float]
    std: Sequence[float]

    @classmethod
    def of(cls, model: VideoTextModel) -> FrameFormat:
        """Return the format that a model takes."""
        return cls(model.image_size, model.mean, model.std)

    def to_input(self, clips: Sequence[Frames], device: torch.device) -> torch.Tensor:
        """Return clips, already cropped to squares of `size`, normalised on a device: [B, T, C, S, S]."""
        video_BTSSC = torch.from_numpy(np.stack(clips)).to(device)
        whole_B4 = torch.tensor([[0.0, 0.0, 1.0, 0.0]], device=device).expand(len(clips), -1)
        return to_model_input(video_BTSSC, whole_B4, self.size, self.mean, self.std)
