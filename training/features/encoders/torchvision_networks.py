"""torchvision's networks without their classifiers: ImageNet networks for frames, Kinetics-400 networks for clips.

Weights are torchvision's own (the hash in their URL is checked), or a file.

Shapes: N frames or clips, T frames of a clip, H height, W width, C = 3 colours, D features.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torchvision.models import WeightsEnum, get_model, get_model_weights

from runtime.errors import UserError, one_line
from runtime.models import model_uri
from training.data.decoding.frame_sampling import Frame
from training.features.encoders.frame_preprocessing import center_cropped, half_precision, normalised, scaled

_IMAGE_SIDE = 224
_DAMAGE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)  # errors of torch.load on a damaged file
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageNetwork:
    """An ImageNet network without its classifier: a whole frame, uncropped, to the mean over the last feature map."""

    short_side = _IMAGE_SIDE

    def __init__(self, name: str, weights: str, device: torch.device) -> None:
        """Build the network.

        Args:
            name: torchvision's name of the network.
            weights: `default`, `random`, or a model URI of a file.
            device: of the network.

        Raises:
            UserError: the weights are missing or don't fit.
        """
        self._device = device
        self._model, self.width = _without_classifier(name, weights, device)

    def fit(self, frame: Frame) -> Frame:
        """Return the whole frame, scaled to the short side."""
        return scaled(frame, self.short_side)

    def forward(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """Return features [N, D] of frames [N, H, W, C]."""
        with half_precision(self._device):
            features_ND: torch.Tensor = self._model(normalised(pictures, _MEAN, _STD, self._device))
        return features_ND


class ClipNetwork:
    """A Kinetics network without its classifier: the centre squares of 16 frames to their features."""

    def __init__(self, name: str, weights: str, device: torch.device) -> None:
        """Build the network; arguments and errors are those of `ImageNetwork`."""
        self._device = device
        self._model, self.width = _without_classifier(name, weights, device)
        taken = _own_weights(name).transforms()
        self.short_side, self._side = int(taken.resize_size[0]), int(taken.crop_size[0])
        self._mean, self._std = taken.mean, taken.std

    def fit(self, frame: Frame) -> Frame:
        """Return the centre square."""
        return center_cropped(scaled(frame, self.short_side), self._side)

    def forward(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """Return features [N, D] of clips [N, T, H, W, C]."""
        clips_NCTHW = normalised(pictures, self._mean, self._std, self._device).transpose(1, 2)
        with half_precision(self._device):
            features_ND: torch.Tensor = self._model(clips_NCTHW)
        return features_ND


def weights_revision(name: str, weights: str) -> str:
    """Return what identifies `weights` exactly, without fetching them.

    Raises:
        UserError: there are no such weights.
    """
    if weights == "random":
        return "random"
    return PurePosixPath(_own_weights(name).url).name if weights == "default" else model_uri.revision_of(weights)


def _own_weights(name: str) -> WeightsEnum:
    """Return torchvision's first weights of a network: those that were published when the paper was written."""
    return next(iter(get_model_weights(name)))


def _without_classifier(name: str, weights: str, device: torch.device) -> tuple[nn.Module, int]:
    """Return the network up to the input of its classifier, and the width of that input."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # random weights are the same each time
        model: Any = get_model(name, weights=None)
    if weights != "random":
        _load(model, name, weights)
    part = next(part for part in ("fc", "classifier", "head") if hasattr(model, part))
    head = getattr(model, part)
    last = [layer for layer in head.modules() if isinstance(layer, nn.Linear | nn.Conv3d)][-1]
    setattr(model, part, nn.Identity())
    width = last.in_features if isinstance(last, nn.Linear) else last.in_channels
    return model.to(device).eval().requires_grad_(False), width


def _load(model: nn.Module, name: str, weights: str) -> None:
    state = _fetched(name) if weights == "default" else _read(name, weights)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"weights.{name}={weights!r}: not weights of {name} ({one_line(error, keep='first')})"
        ) from None


def _fetched(name: str) -> dict[str, Any]:
    """Return torchvision's own weights, from its cache or its site; their hash is checked."""
    own = _own_weights(name)
    try:
        state: dict[str, Any] = own.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"weights.{name}='default': {own.url} can't be fetched ({one_line(error, keep='first')}); check the "
            f"network, or copy the file and set weights.{name}=path:///folder/{PurePosixPath(own.url).name}"
        ) from None
    return state


def _read(name: str, weights: str) -> dict[str, Any]:
    """Read a state dict from the file that a model URI names."""
    path = Path(model_uri.resolve(weights).path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state) if isinstance(state, dict) else {}
        return {key.removeprefix("module."): value for key, value in state.items()}
    except (*_DAMAGE, SafetensorError, UnpicklingError, EOFError) as error:
        raise UserError(
            f"weights.{name}={weights!r}: can't be read as weights ({one_line(error, keep='first')})"
        ) from None
