"""What travels through the data path: a root to decode with the clips to take from it, and a batch of them.

A `Source` (shards, webdataset tars, plain files) yields `RootTask`s in the order of an epoch; workers decode them; the
loader collates `Batch`es; the augmentation turns a batch's frames into the model's input on its device.

Shapes: B clips, T frames, S pixels of a stored side, C = 3 colours, L text tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch


@dataclass(frozen=True)
class Crop:
    """The square of a frame that the model sees, drawn on the CPU from (seed, epoch, root)."""

    scale: float
    """Side of the square over the frame's short side, at most 1."""
    x: float
    """Where the square lies in its free play from left to right, 0 to 1; 0.5 is the centre."""
    y: float
    """From top to bottom, 0 to 1."""
    flip: bool
    """Mirror left to right."""


CENTER = Crop(scale=1.0, x=0.5, y=0.5, flip=False)


@dataclass(frozen=True)
class MediaRef:
    """Where the bytes of a video lie: a span of a file, or the whole of it."""

    url: str
    """Path or fsspec URL of the tar or of the video itself."""
    offset: int = 0
    """First byte."""
    size: int | None = None
    """Number of bytes; None: the whole file."""


@dataclass(frozen=True)
class ClipTask:
    """One training clip of a root."""

    key: str
    start: float
    """Seconds from the first frame of the media."""
    end: float
    """Seconds from the first frame of the media."""
    video_start: float
    """Seconds of the original video: what overlap in time is judged by."""
    video_end: float
    texts: Mapping[str, str | None]
    """Text by term of the loss (`subtitle`, `caption`, …); None where there is none."""
    crop: Crop = CENTER


@dataclass(frozen=True)
class RootTask:
    """One root (or file) to decode once, and the clips to take from it."""

    key: str
    video_id: str
    media: MediaRef
    clips: tuple[ClipTask, ...]
    """Exactly `clips_per_root`, drawn again where a root has fewer; or all, where the source was asked for all."""
    folder: str = ""
    """The DIR that it is of, as it was named; empty where it is of none."""
    shard: int = -1
    """Its shard in that DIR; -1 where it is of none."""
    seed: int = 0
    """Of whatever else is drawn for it; from (seed, epoch, root)."""
    kept: bool = True
    """False where curation marked all of its clips as not to keep: that they lack texts is no fault then."""


Reason = Literal[
    "truncated",
    "undecodable",
    "no_video",
    "out_of_range",
    "missing",
    "unreadable",
    "original_missing",
    "low_rate",
    "not_finite",
]


class ClipFailed(Exception):
    """A video, or a clip of it, can't be used; carries the reason that skips are counted by."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason

    def __reduce__(self) -> tuple[type[ClipFailed], tuple[Reason, str]]:
        return ClipFailed, (self.reason, str(self))


class Source(Protocol):
    """Where training clips come from. The order is a pure function of (seed, epoch) and of what the source holds."""

    @property
    def identity(self) -> str:
        """Hash over what a resumed run must find unchanged."""
        ...

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms that every clip has a text, or none, for."""
        ...

    @property
    def num_roots(self) -> int:
        """Roots in an epoch."""
        ...

    def epoch(self, epoch: int, skip: int = 0, only: Callable[[int], bool] | None = None) -> Iterator[RootTask]:
        """The roots of an epoch in their order, from number `skip` on, without reading what is skipped.

        Args:
            epoch: its number, from 0.
            skip: roots to pass over.
            only: of the rest, the numbers (counted from the epoch's beginning) to yield: those of one rank.
        """
        ...


@dataclass
class Batch:
    """One rank's share of a global batch, or one micro-batch of it."""

    video_BTSSC: torch.Tensor
    """uint8, RGB; a square window of each frame that holds the crop."""
    crop_B4: torch.Tensor
    """float32: left, top, side of the crop within the window as shares of S, and 1 where it is mirrored."""
    weight_B: torch.Tensor
    """float32: 0 for a clip without texts, one that can't be decoded, or one that fills up the last batch; else 1."""
    tokens: dict[str, torch.Tensor]
    """int64 [B, L] by term."""
    present: dict[str, torch.Tensor]
    """bool [B] by term: whether the text is there and the clip was decoded."""
    video_id_B: torch.Tensor
    """int64: clips of one video share it."""
    span_B2: torch.Tensor
    """float64: start and end in the video, seconds."""
    keys: list[str]
    skips: Counter[str] = field(default_factory=Counter)
    """Clips that could not be used, by reason."""
    examples: dict[str, str] = field(default_factory=dict)
    """By reason: the first such clip, and what was said of it."""
    bytes_read: int = 0

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def usable(self) -> int:
        """Clips that were decoded."""
        return int(self.weight_B.sum())
