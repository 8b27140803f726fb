"""The tasks of a decoding worker: the video of a root, and the clips to take from it with their texts and crops.

A source of `training.data.sources` yields one `RootTask` after another in the order of an epoch;
`training.data.clip_collate` decodes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Crop:
    """The square of a frame that the model sees, drawn on the CPU from (seed, epoch, root)."""

    scale: float
    """Side of the square divided by the frame's short side, in (0, 1]."""
    x: float
    """Crop x-position, 0 (left edge) to 1 (right edge); 0.5 is the centre."""
    y: float
    """Crop y-position, 0 (top edge) to 1 (bottom edge); 0.5 is the centre."""
    flip: bool
    """Mirror left to right."""


CENTER = Crop(scale=1.0, x=0.5, y=0.5, flip=False)


@dataclass(frozen=True)
class MediaRef:
    """The address of a video's bytes: a whole file, or a byte range of one."""

    url: str
    """Path or fsspec URL of the tar or of the video itself."""
    offset: int = 0
    """First byte."""
    size: int | None = None
    """Number of bytes; None: up to the end of the file."""


@dataclass(frozen=True)
class ClipTask:
    """One training clip of a root."""

    key: str
    start: float
    """Seconds from the first frame of the media."""
    end: float
    """Seconds from the first frame of the media."""
    video_start: float
    """Seconds of the original video; used to find clips that overlap in time."""
    video_end: float
    """Seconds of the original video."""
    texts: Mapping[str, str | None]
    """Text by term of the loss (`subtitle`, `caption`, …); None if the clip has no such text."""
    crop: Crop = CENTER
    jitter: int | None = None
    """Seed of the moment at which each frame is taken in its segment of the clip; None: the middle."""
    frames: int | None = None
    """Number of frames, if it depends on the clip's duration; None: that of the batch."""

    @classmethod
    def empty(cls, terms: Sequence[str]) -> Self:
        """Return a clip that only fills up a batch: it is not decoded and has weight 0."""
        return cls("", 0.0, 0.0, 0.0, 0.0, dict.fromkeys(terms))

    @property
    def is_empty(self) -> bool:
        """True if the clip only fills up a batch."""
        return not self.key

    @property
    def seconds(self) -> float:
        """Duration; infinite if it is unknown before decoding, 0 for a clip that only fills up a batch."""
        known = math.isfinite(self.end)
        return self.end - self.start if known else self.video_end - self.video_start


@dataclass(frozen=True)
class RootTask:
    """One root (or file) to decode once, and the clips to take from it."""

    key: str
    video_id: str
    media: MediaRef
    clips: tuple[ClipTask, ...]
    """Exactly `clips_per_root`, filled up with repeats or with empty clips if the root has fewer; or all clips, if the
    source was asked for all."""
    folder: str = ""
    """The DIR of the root, as the user named it; empty if the root is not from a DIR."""
    shard: int = -1
    """The root's shard in that DIR; -1 if the root is not from a DIR."""
    seed: int = 0
    """Seed of further draws for this root; a function of (seed, epoch, root)."""
    kept: bool = True
    """False if curation marked all clips of the root as not to keep; missing texts are not counted then."""

    @classmethod
    def empty(cls, terms: Sequence[str], clips: int) -> Self:
        """Return a root without media that fills up the last batch of an epoch with clips of weight 0."""
        return cls("", "", MediaRef(""), (ClipTask.empty(terms),) * clips)

    @property
    def is_empty(self) -> bool:
        """True if the root only fills up a batch."""
        return not self.key

    @property
    def worth_decoding(self) -> bool:
        """True if a clip of the root has a text, or if no texts were asked for (evaluation)."""
        return not self.is_empty and any(not clip.texts or any(clip.texts.values()) for clip in self.clips)
