"""How the frames of a root become rows over time: one for each frame, each clip of 16, each window, or two joined.

Pure but for the network that each is given (`training.features.encoder_registry` puts them together). Frames are taken one by
one and go through the network in batches.

Shapes: N rows (or frames, or clips) of one root, T frames of a clip, H height, W width, C = 3 colours, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from runtime.settings import content_hash
from training.data.decoding.clip_decoder import Frame
from training.features.encoder_settings import IMAGE_FPS, EncoderSettings

VERSION = 1
"""Raised when the same weights and settings give other features."""


@dataclass(frozen=True)
class Rows:
    """The features of one root."""

    features_ND: NDArray[np.float32]
    """Of unit length; each half is where two networks are joined."""
    times_N: NDArray[np.float32]
    """Seconds from the root's first frame: the centre of what each row sees; increasing."""


class Network(Protocol):
    """A network with its preprocessing."""

    width: int
    """D."""
    short_side: int
    """Pixels of the short side of what it takes."""
    revision: str
    """Of its weights."""

    def fit(self, frame: Frame) -> Frame:
        """A frame with a short side of at least `short_side`, scaled and cropped to what `forward` takes."""
        ...

    def forward(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """Float features [N, D] of frames [N, H, W, C], or of clips [N, T, H, W, C]."""
        ...


class WindowNetwork(Network, Protocol):
    """A network for clips that says how many frames it takes."""

    frames: int
    """T."""


class PerFrame:
    """One row a frame: an ImageNet network, a CLIP image tower."""

    frames_per_row = 1

    def __init__(self, settings: EncoderSettings, network: Network) -> None:
        """Of `settings`, `encoder`, `fps` and `batch_size` matter."""
        self.name, self.network = settings.encoder, network
        self.identity = encoder_identity(settings, [network.revision])
        self.width, self.short_side = network.width, network.short_side
        self.fps = settings.fps or IMAGE_FPS
        self._batch = settings.batch_size

    def frames(self, seconds: float) -> int:
        """One for each row."""
        return max(1, round(seconds * self.fps))

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """See `Encoder.encode`."""
        batcher = Batcher(self.network, self._batch)
        for frame in frames:
            batcher.add(self.network.fit(frame))
        features_ND = batcher.finish()
        return Rows(features_ND, centres(len(features_ND), seconds))


class PerChunk:
    """One row for each run of 16 frames without overlap, the last filled up with black frames: a Kinetics network."""

    frames_per_row = 16

    def __init__(self, settings: EncoderSettings, network: Network) -> None:
        """Of `settings`, `encoder` with its rate and `batch_size` matter."""
        assert settings.parsed.fps is not None
        self.name, self.network = settings.encoder, network
        self.identity = encoder_identity(settings, [network.revision])
        self.width, self.short_side, self.fps = network.width, network.short_side, settings.parsed.fps
        self._batch = max(1, settings.batch_size // self.frames_per_row)

    def frames(self, seconds: float) -> int:
        """All at its rate."""
        return max(1, round(seconds * self.fps))

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """See `Encoder.encode`."""
        feed = self.feed()
        for frame in frames:
            feed.add(frame)
        return feed.finish(seconds)

    def feed(self) -> ChunkFeed:
        """What frames are put into one by one."""
        return ChunkFeed(self.network, self.frames_per_row, self._batch)


class ChunkFeed:
    """Collects frames into clips and clips into batches."""

    def __init__(self, network: Network, length: int, batch: int) -> None:
        self._network, self._length = network, length
        self._batcher = Batcher(network, batch)
        self._clip: list[Frame] = []
        self._count = 0

    def add(self, frame: Frame) -> None:
        """Put in the next frame."""
        self._clip.append(self._network.fit(frame))
        self._count += 1
        if len(self._clip) == self._length:
            self._batcher.add(np.stack(self._clip))
            self._clip = []

    def finish(self, seconds: float) -> Rows:
        """The rows, once all frames of a root of this length are in."""
        if self._clip:
            black = [np.zeros_like(self._clip[0])] * (self._length - len(self._clip))
            self._batcher.add(np.stack([*self._clip, *black]))
        features_ND = self._batcher.finish()
        step = seconds / self._count
        begin_N = np.arange(len(features_ND)) * self._length * step
        end_N = np.minimum(begin_N + self._length * step, seconds)
        return Rows(features_ND, ((begin_N + end_N) / 2).astype(np.float32))


class Joined:
    """The paper's features: those of single frames, beside those of the clip that is on the screen at their time.

    Both halves have unit length. The paper resamples the clips' rows evenly onto the frames'; where the last clip is
    not full, the nearest in time is meant here.
    """

    def __init__(self, settings: EncoderSettings, image: PerFrame, video: PerChunk) -> None:
        """Join two encoders of the same settings."""
        self.name, self._image, self._video = settings.encoder, image, video
        self.identity = encoder_identity(settings, [image.network.revision, video.network.revision])
        self.width = image.width + video.width
        self.short_side = max(image.short_side, video.short_side)
        self.fps, self.frames_per_row = video.fps, video.frames_per_row

    def frames(self, seconds: float) -> int:
        """As many as the clips want: the single frames are among them."""
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
    """One row for each of equal windows of about `seconds_per_row`, each seen through a video model's own frames."""

    def __init__(self, settings: EncoderSettings, network: WindowNetwork) -> None:
        """Of `settings`, `encoder`, `seconds_per_row` and `batch_size` matter."""
        self.name, self.network = settings.encoder, network
        self.identity = encoder_identity(settings, [network.revision])
        self.width, self.short_side = network.width, network.short_side
        self.frames_per_row = network.frames
        self.fps = self.frames_per_row / settings.seconds_per_row
        self._seconds = settings.seconds_per_row
        self._batch = max(1, settings.batch_size // self.frames_per_row)

    def frames(self, seconds: float) -> int:
        """Those of all windows."""
        return max(1, round(seconds / self._seconds)) * self.frames_per_row

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """See `Encoder.encode`."""
        feed = ChunkFeed(self.network, self.frames_per_row, self._batch)
        for frame in frames:
            feed.add(frame)
        features_ND = feed.finish(seconds).features_ND
        return Rows(features_ND, centres(len(features_ND), seconds))


class Batcher:
    """Collects what a network takes into batches, and the features that come out."""

    def __init__(self, network: Network, size: int) -> None:
        """`size`: frames or clips a batch."""
        self._network, self._size = network, size
        self._waiting: list[NDArray[np.uint8]] = []
        self._done: list[NDArray[np.float32]] = []

    def add(self, pictures: NDArray[np.uint8]) -> None:
        """Put in one frame or clip; a full batch goes through the network."""
        self._waiting.append(pictures)
        if len(self._waiting) == self._size:
            self._run()

    def finish(self) -> NDArray[np.float32]:
        """All features [N, D], of unit length, in order."""
        if self._waiting:
            self._run()
        return np.concatenate(self._done)

    def _run(self) -> None:
        with torch.inference_mode():
            features_ND = self._network.forward(np.stack(self._waiting))
            self._done.append(F.normalize(features_ND.float(), dim=-1).cpu().numpy())
        self._waiting = []


def centres(rows: int, seconds: float) -> NDArray[np.float32]:
    """The middles of `rows` equal parts of `seconds`."""
    return ((np.arange(rows) + 0.5) * (seconds / rows)).astype(np.float32)


def encoder_identity(settings: EncoderSettings, revisions: Sequence[str]) -> str:
    """Content hash over an encoder's name, the settings that decide what comes out, and its weights' revisions."""
    name = settings.parsed
    rate = (settings.fps or IMAGE_FPS) if name.kind == "clip" or name.image else None
    window = settings.seconds_per_row if name.kind == "vidla" else None
    which = settings.encoder if name.kind == "torchvision" else name.kind  # not where its weights lie
    return content_hash("encoder", VERSION, which, rate, window, list(revisions))
