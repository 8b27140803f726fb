"""The interface of an encoder of visual features: frames of a root in, rows of features over time out.

An encoder states how many evenly spaced frames of a root it needs and takes them one by one, so that at most one batch
is in memory.

Shapes: N rows of one root, H height, W width, C = 3 colours, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.data.decoding.frame_sampling import Frame


@dataclass(frozen=True)
class Rows:
    """The features of one root."""

    features_ND: NDArray[np.float32]
    """Rows of unit length; if two networks are joined, each half has unit length."""
    times_N: NDArray[np.float32]
    """Seconds from the root's first frame, increasing: the centre of the span that each row covers."""


class Encoder(Protocol):
    """Frames in, rows of features out."""

    name: str
    """The encoder's name, as in `EncoderSettings.encoder`."""
    width: int
    """D."""
    fps: float
    """Frames per second that the encoder takes."""
    frames_per_row: int
    """Number of frames that a row covers: 1, or the length of a clip."""
    short_side: int
    """Short side of the frames that the encoder takes, pixels."""

    def frames(self, seconds: float) -> int:
        """Return the number of evenly spaced frames to take from a root of this length."""
        ...

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """Encode one root.

        Args:
            frames: `frames(seconds)` evenly spaced frames of the root, all of one size, with a short side of
                `short_side`.
            seconds: length of the root.
        """
        ...
