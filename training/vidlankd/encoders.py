"""Encoders of visual features: the frames of a root in, rows of features over time out.

`training.vidlankd.features_worker` streams the frames of a root through one of them. An encoder says how many evenly
spaced frames it wants of a root, and takes them one by one: at most a batch is held. What networks there are stands in
`training.vidlankd.encoders_torchvision` and `training.vidlankd.encoders_clip`.

Shapes: N rows (or frames, or clips) of one root, T frames of a clip, H height, W width, C = 3 colours, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torchvision.transforms.functional import resize

from runtime.config import content_hash
from training.data.decode import Frame
from training.vidlankd.encoder_settings import IMAGE_FPS, EncoderSettings

VERSION = 1
"""Raised when the same weights and settings give other features."""


@dataclass(frozen=True)
class Rows:
    """The features of one root."""

    features_ND: NDArray[np.float32]
    """Of unit length; each half is where two networks are joined."""
    times_N: NDArray[np.float32]
    """Seconds from the root's first frame: the centre of what each row sees; increasing."""


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
    from training.vidlankd.encoders_clip import ClipImageTower, VidlaTower

    if name.kind == "clip":
        return PerFrame(settings, ClipImageTower(name.weights, place))
    return PerWindow(settings, VidlaTower(name.weights, place))


def _torchvision(settings: EncoderSettings, device: torch.device) -> Encoder:
    from training.vidlankd.encoders_torchvision import ClipNetwork, ImageNetwork

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
        from training.vidlankd.encoders_torchvision import weights_revision

        return _identity(settings, [weights_revision(each, settings.weights_of(each)) for each in name.networks])
    from training.vidlankd.encoders_clip import clip_revision, vidla_revision

    return _identity(settings, [clip_revision(name.weights) if name.kind == "clip" else vidla_revision(name.weights)])


class PerFrame:
    """One row a frame: an ImageNet network, a CLIP image tower."""

    frames_per_row = 1

    def __init__(self, settings: EncoderSettings, network: Network) -> None:
        """Of `settings`, `encoder`, `fps` and `batch_size` matter."""
        self.name, self.network = settings.encoder, network
        self.identity = _identity(settings, [network.revision])
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
        self.identity = _identity(settings, [network.revision])
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
        self.identity = _identity(settings, [image.network.revision, video.network.revision])
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

    def __init__(self, settings: EncoderSettings, network: Any) -> None:
        """`network`: a `Network` of clips that says how many `frames` it takes."""
        self.name, self.network = settings.encoder, network
        self.identity = _identity(settings, [network.revision])
        self.width, self.short_side = network.width, network.short_side
        self.frames_per_row: int = network.frames
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


def _identity(settings: EncoderSettings, revisions: Sequence[str]) -> str:
    name = settings.parsed
    rate = (settings.fps or IMAGE_FPS) if name.kind == "clip" or name.image else None
    window = settings.seconds_per_row if name.kind == "vidla" else None
    return content_hash("encoder", VERSION, settings.encoder, rate, window, list(revisions))
