"""Encoders of visual features: the frames of a root in, rows of features over time out.

`training.features.features_worker` streams the frames of a root through one of them. An encoder says how many evenly
spaced frames it wants of a root, and takes them one by one: at most a batch is held. How frames become rows stands in
`training.features.row_encoders`, the networks in `training.features.torchvision_encoders` and
`training.features.clip_encoders`.

Shapes: N rows (or frames, or clips) of one root, T frames of a clip, H height, W width, C = 3 colours, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch

from training.data.decoding.clip_decoder import Frame
from training.features.encoder_settings import EncoderSettings
from training.features.row_encoders import Joined, PerChunk, PerFrame, PerWindow, Rows, encoder_identity


class Encoder(Protocol):
    """Frames in, rows of features out."""

    name: str
    """As `EncoderSettings.encoder` has it."""
    identity: str
    """Content hash over the name, the settings that decide what comes out, and the weights' revision."""
    width: int
    """D."""
    fps: float
    """Frames a second that it wants."""
    frames_per_row: int
    """Frames that a row sees: 1, or the length of a clip."""
    short_side: int
    """Pixels of the short side that frames are to have."""

    def frames(self, seconds: float) -> int:
        """How many evenly spaced frames it wants of a root of this length."""
        ...

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """Features of one root.

        Args:
            frames: `frames(seconds)` evenly spaced frames of the root, uint8 RGB [H, W, 3], all of one size, with a
                short side of `short_side`.
            seconds: length of the root.
        """
        ...


def open_encoder(settings: EncoderSettings, device: str | None = None) -> Encoder:
    """Build the encoder that `settings` name, with its weights.

    Args:
        settings: which.
        device: where to put it; None: as `settings` have it, else a GPU where there is one.

    Raises:
        UserError: weights that can't be had or don't fit; the message says what to do.
    """
    asked = device or settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    name, place = settings.parsed, torch.device(asked)
    if name.kind == "torchvision":
        return _torchvision(settings, place)
    from training.features.clip_encoders import ClipImageTower, VidlaTower

    if name.kind == "clip":
        return PerFrame(settings, ClipImageTower(name.weights, place))
    return PerWindow(settings, VidlaTower(name.weights, place))


def _torchvision(settings: EncoderSettings, device: torch.device) -> Encoder:
    from training.features.torchvision_encoders import ClipNetwork, ImageNetwork

    image, video = settings.parsed.image, settings.parsed.video
    frames = image and PerFrame(settings, ImageNetwork(image, settings.weights_of(image), device))
    chunks = video and PerChunk(settings, ClipNetwork(video, settings.weights_of(video), device))
    if frames and chunks:
        return Joined(settings, frames, chunks)
    alone = frames or chunks
    assert alone, "a name has one network at least"
    return alone


def identity_of(settings: EncoderSettings) -> str:
    """What the `identity` of the encoder would be, without building it.

    Raises:
        UserError: no such weights.
    """
    name = settings.parsed
    if name.kind == "torchvision":
        from training.features.torchvision_encoders import weights_revision

        return encoder_identity(settings, [weights_revision(each, settings.weights_of(each)) for each in name.networks])
    from training.features.clip_encoders import clip_revision, vidla_revision

    return encoder_identity(
        settings, [clip_revision(name.weights) if name.kind == "clip" else vidla_revision(name.weights)]
    )
