"""The networks of CLIP and VidLA models as encoders use them: an image tower, and a trained video tower.

Shapes: N frames or clips, T frames of a clip, S pixels of a side, C = 3 colours, D features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.settings import build
from training.data.decoding.frame_sampling import Frame
from training.features.encoders.frame_preprocessing import center_cropped, half_precision, normalised, scaled
from training.models.vidla import vidla_folder
from training.models.vidla.initial_weights import build_image_text_model, build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import VidLA


class ClipImageTower:
    """A CLIP image tower of any kind: the centre square of a frame to its embedding."""

    def __init__(self, weights: str, device: torch.device) -> None:
        """Build the tower.

        Args:
            weights: as `training.models.vidla.initial_weights` names them: ``ViT-B-32:openai``, a model URI,
                ``random:tiny``.
            device: of the tower.

        Raises:
            UserError: the weights are missing, or are not those of a CLIP.
        """
        asked = build(ModelSettings, {"init": weights}, f"encoder=clip:{weights}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # random weights are the same each time
            clip, architecture, _ = build_image_text_model(asked)
        tower = clip.visual
        self._tower, self._device = tower.to(device).eval().requires_grad_(False), device
        self._mean, self._std = architecture["mean"], architecture["std"]
        side: Any = tower.image_size
        self.width = int(architecture["embed_dim"])
        self.short_side = int(side if isinstance(side, int) else min(side))

    def fit(self, frame: Frame) -> Frame:
        """Return the centre square."""
        return center_cropped(scaled(frame, self.short_side), self.short_side)

    def forward(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """Return embeddings [N, D] of frames [N, S, S, C]."""
        with half_precision(self._device):
            features_ND: torch.Tensor = self._tower(normalised(pictures, self._mean, self._std, self._device))
        return features_ND


class VidlaTower:
    """A trained VidLA's video tower: the centre squares of its own number of frames to one embedding."""

    def __init__(self, weights: str, device: torch.device) -> None:
        """Build the tower.

        Args:
            weights: model URI of an export; ``random:tiny`` for tests.
            device: of the tower.

        Raises:
            UserError: there is no export at this address.
        """
        model = _random(weights) if weights.startswith("random:") else vidla_folder.load(weights)
        self._model, self._device = model.to(device).eval().requires_grad_(False), device
        self.width, self.short_side, self.frames = model.embed_dim, model.image_size, model.video.frames

    def fit(self, frame: Frame) -> Frame:
        """Return the centre square."""
        return center_cropped(scaled(frame, self.short_side), self.short_side)

    def forward(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """Return embeddings [N, D] of clips [N, T, S, S, C]."""
        video_NTCHW = normalised(pictures, self._model.mean, self._model.std, self._device)
        with half_precision(self._device):
            return self._model.encode_video(video_NTCHW, normalize=False)


def _random(weights: str) -> VidLA:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(build(ModelSettings, {"init": weights}, f"encoder=vidla:{weights}"))
