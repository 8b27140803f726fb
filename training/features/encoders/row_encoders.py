"""Encoders that turn the frames of a root into rows over time: per frame, per clip of 16, per window, or two joined.

Pure apart from the network that each is given. Frames are taken one by one and go through the network in batches.

Shapes: N rows (or frames, or clips) of one root, T frames of a clip, H height, W width, C = 3 colours, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from training.data.decoding.frame_sampling import Frame
from training.features.encoders.encoder_interface import Rows
from training.features.encoders.encoder_kind import IMAGE_FPS
from training.features.encoders.encoder_settings import EncoderSettings


class FrameNetwork(Protocol):
    """A network with its preprocessing."""

    width: int
    """D."""
    short_side: int
    """Short side of the frames that the network takes, pixels."""

    def fit(self, frame: Frame) -> Frame:
        """Scale and crop a frame with a short side of at least `short_side` to what `forward` takes."""
        ...

    def forward(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """Return float features [N, D] of frames [N, H, W, C], or of clips [N, T, H, W, C]."""
        ...


class WindowNetwork(FrameNetwork, Protocol):
    """A network for clips of a fixed length."""

    frames: int
    """T."""


class PerFrame:
    """One row per frame: an ImageNet network, or a CLIP image tower."""

    frames_per_row = 1

    def __init__(self, settings: EncoderSettings, network: FrameNetwork) -> None:
        """Use `encoder`, `fps` and `batch_size` of the settings."""
        self.name, self.network = settings.encoder, network
        self.width, self.short_side = network.width, network.short_side
        self.fps = settings.fps or IMAGE_FPS
        self._batch = settings.batch_size

    def frames(self, seconds: float) -> int:
        """Return the number of rows: one frame for each."""
        return max(1, round(seconds * self.fps))

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """See `Encoder.encode`."""
        batcher = Batcher(self.network, self._batch)
        for frame in frames:
            batcher.add(self.network.fit(frame))
        features_ND = batcher.finish()
        return Rows(features_ND, centres(len(features_ND), seconds))


class PerChunk:
    """One row per 16 consecutive frames without overlap, the last filled up with black frames: a Kinetics network."""

    frames_per_row = 16

    def __init__(self, settings: EncoderSettings, network: FrameNetwork) -> None:
        """Use `encoder` with its rate, and `batch_size`, of the settings."""
        assert settings.parsed.fps is not None, "the name of a network for clips has a rate"
        self.name, self.network = settings.encoder, network
        self.width, self.short_side, self.fps = network.width, network.short_side, settings.parsed.fps
        self._batch = max(1, settings.batch_size // self.frames_per_row)

    def frames(self, seconds: float) -> int:
        """Return the number of frames at the encoder's rate."""
        return max(1, round(seconds * self.fps))

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """See `Encoder.encode`."""
        feed = self.feed()
        for frame in frames:
            feed.add(frame)
        return feed.finish(seconds)

    def feed(self) -> ChunkFeed:
        """Return an object that takes the frames of one root one by one."""
        return ChunkFeed(self.network, self.frames_per_row, self._batch)


class ChunkFeed:
    """Collects frames into clips, and clips into batches."""

    def __init__(self, network: FrameNetwork, length: int, batch: int) -> None:
        self._network, self._length = network, length
        self._batcher = Batcher(network, batch)
        self._clip: list[Frame] = []
        self._count = 0

    def add(self, frame: Frame) -> None:
        """Add the next frame."""
        self._clip.append(self._network.fit(frame))
        self._count += 1
        if len(self._clip) == self._length:
            self._batcher.add(np.stack(self._clip))
            self._clip = []

    def finish(self, seconds: float) -> Rows:
        """Return the rows after the last frame of a root of this length."""
        if self._clip:
            black = [np.zeros_like(self._clip[0])] * (self._length - len(self._clip))
            self._batcher.add(np.stack([*self._clip, *black]))
        features_ND = self._batcher.finish()
        step = seconds / self._count
        begin_N = np.arange(len(features_ND)) * self._length * step
        end_N = np.minimum(begin_N + self._length * step, seconds)
        return Rows(features_ND, ((begin_N + end_N) / 2).astype(np.float32))


class JoinedEncoder:
    """The paper's features: those of single frames, concatenated with those of the clip shown at the same time.

    Both halves have unit length. The paper resamples the clips' rows evenly onto the frames' rows; here a frame takes
    the clip with the nearest time, which differs if the last clip is not full.
    """

    def __init__(self, settings: EncoderSettings, image: PerFrame, video: PerChunk) -> None:
        """Join two encoders of the same settings."""
        self.name, self._image, self._video = settings.encoder, image, video
        self.width = image.width + video.width
        self.short_side = max(image.short_side, video.short_side)
        self.fps, self.frames_per_row = video.fps, video.frames_per_row

    def frames(self, seconds: float) -> int:
        """Return the number of frames for the clips; the single frames are among them."""
        return max(self._video.frames(seconds), self._image.frames(seconds))

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """See `Encoder.encode`."""
        count, rows = self.frames(seconds), self._image.frames(seconds)
        single = set(((np.arange(rows) + 0.5) * count / rows).astype(int).tolist())
        feed = self._video.feed()

        def both() -> Iterator[Frame]:
            for number, frame in enumerate(frames):
                feed.add(frame)
                if number in single:
                    yield frame

        image, video = self._image.encode(both(), seconds), feed.finish(seconds)
        nearest_N = np.abs(image.times_N[:, None] - video.times_N[None, :]).argmin(axis=1)
        return Rows(np.concatenate([image.features_ND, video.features_ND[nearest_N]], axis=1), image.times_N)


class PerWindow:
    """One row per window of about `seconds_per_row`; a video model sees its own number of frames of each window."""

    def __init__(self, settings: EncoderSettings, network: WindowNetwork) -> None:
        """Use `encoder`, `seconds_per_row` and `batch_size` of the settings."""
        self.name, self.network = settings.encoder, network
        self.width, self.short_side = network.width, network.short_side
        self.frames_per_row = network.frames
        self.fps = self.frames_per_row / settings.seconds_per_row
        self._seconds = settings.seconds_per_row
        self._batch = max(1, settings.batch_size // self.frames_per_row)

    def frames(self, seconds: float) -> int:
        """Return the number of frames of all windows."""
        return max(1, round(seconds / self._seconds)) * self.frames_per_row

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """See `Encoder.encode`."""
        feed = ChunkFeed(self.network, self.frames_per_row, self._batch)
        for frame in frames:
            feed.add(frame)
        features_ND = feed.finish(seconds).features_ND
        return Rows(features_ND, centres(len(features_ND), seconds))


class Batcher:
    """Collects frames or clips into batches, and the features that a network returns for them."""

    def __init__(self, network: FrameNetwork, size: int) -> None:
        """Collect `size` frames or clips per batch."""
        self._network, self._size = network, size
        self._waiting: list[NDArray[np.uint8]] = []
        self._done: list[NDArray[np.float32]] = []

    def add(self, pictures: NDArray[np.uint8]) -> None:
        """Add one frame or clip; a full batch goes through the network."""
        self._waiting.append(pictures)
        if len(self._waiting) == self._size:
            self._run()

    def finish(self) -> NDArray[np.float32]:
        """Return all features [N, D], of unit length, in order."""
        if self._waiting:
            self._run()
        return np.concatenate(self._done)

    def _run(self) -> None:
        with torch.inference_mode():
            features_ND = self._network.forward(np.stack(self._waiting))
            self._done.append(F.normalize(features_ND.float(), dim=-1).cpu().numpy())
        self._waiting = []


def centres(rows: int, seconds: float) -> NDArray[np.float32]:
    """Return the centres of `rows` equal parts of `seconds`."""
    return ((np.arange(rows) + 0.5) * (seconds / rows)).astype(np.float32)
