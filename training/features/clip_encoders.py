"""CLIP and VidLA models as encoders: the image tower frame by frame, a trained video tower window by window.

Weights are named as for `train-vidla --init` (`training.models.vidla.initial_weights`).

Shapes: N frames or clips, T frames of a clip, S pixels of a side, C = 3 colours, D features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip import pretrained as tags

from runtime.errors import UserError
from runtime.models import model_uri
from runtime.settings import build, content_hash
from training.data.decoding.clip_decoder import Frame
from training.features.frame_preprocessing import autocast, cropped, normalised, scaled
from training.models.vidla import vidla_folder
from training.models.vidla.initial_weights import build_image_tower, build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import VidLA


class ClipImageTower:
    """A CLIP image tower of any kind: the middle square of a frame to its embedding."""

    def __init__(self, weights: str, device: torch.device) -> None:
        """Build it.

        Args:
            weights: as `training.models.vidla.initial_weights` names them: ``ViT-B-32:openai``, a model URI, ``random:tiny``.
            device: where to put it.

        Raises:
            UserError: weights that can't be had, or no CLIP.
        """
        asked = build(ModelSettings, {"init": weights}, f"encoder=clip:{weights}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # random weights are the same each time
            tower, architecture = build_image_tower(asked)
        self._tower, self._device = tower.to(device).eval().requires_grad_(False), device
        self._mean, self._std = architecture["mean"], architecture["std"]
        side: Any = tower.image_size
        self.width = int(architecture["embed_dim"])
        self.short_side = int(side if isinstance(side, int) else min(side))
        self.revision = clip_revision(weights)

    def fit(self, frame: Frame) -> Frame:
        """The middle square."""
        return cropped(scaled(frame, self.short_side), self.short_side)

    def forward(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """Embeddings [N, D] of frames [N, S, S, C]."""
        with autocast(self._device):
            features_ND: torch.Tensor = self._tower(normalised(pictures, self._mean, self._std, self._device))
        return features_ND


class VidlaTower:
    """A trained VidLA's video tower: the middle squares of its own number of frames to one embedding."""

    def __init__(self, weights: str, device: torch.device) -> None:
        """Build it.

        Args:
            weights: folder of an export (``RUN/best``), or a model URI of one; ``random:tiny`` for tests.
            device: where to put it.

        Raises:
            UserError: no export lies there.
        """
        model = _random(weights) if weights.startswith("random:") else vidla_folder.load(_address(weights))
        self._model, self._device = model.to(device).eval().requires_grad_(False), device
        self.width, self.short_side, self.frames = model.embed_dim, model.image_size, model.video.frames
        self.revision = vidla_revision(weights)

    def fit(self, frame: Frame) -> Frame:
        """The middle square."""
        return cropped(scaled(frame, self.short_side), self.short_side)

    def forward(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """Embeddings [N, D] of clips [N, T, S, S, C]."""
        video_NTCHW = normalised(pictures, self._model.mean, self._model.std, self._device)
        with autocast(self._device):
            return self._model.encode_video(video_NTCHW, normalize=False)


def clip_revision(weights: str) -> str:
    """What exactly the weights of a CLIP are, without fetching them.

    Raises:
        UserError: no such repository or folder.
    """
    if "://" in weights:
        return model_uri.revision_of(weights)
    architecture, _, tag = weights.rpartition(":")
    name = (architecture or ModelSettings().architecture).removesuffix("-quickgelu")
    return weights if weights.startswith("random:") else content_hash(name, tags.get_pretrained_cfg(name, tag))


def vidla_revision(weights: str) -> str:
    """What exactly the weights of a VidLA are.

    Raises:
        UserError: no such repository or folder.
    """
    return weights if weights.startswith("random:") else model_uri.revision_of(_address(weights))


def _address(weights: str) -> str:
    """A model URI of what may be a plain folder."""
    if "://" in weights:
        return weights
    folder = Path(weights)
    if not folder.is_dir():
        raise UserError(f"encoder='vidla:{weights}': there is no such folder; name the folder of an export (RUN/best)")
    return f"path://{quote(str(folder.resolve()))}"


def _random(weights: str) -> VidLA:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(build(ModelSettings, {"init": weights}, f"encoder=vidla:{weights}"))
