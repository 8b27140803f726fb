"""Records of a video after its one decode: the stored encode, its frame times, and candidate stills."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ROUNDING: Final = 1e-6  # seconds; a time this close to a frame's start belongs to that frame


@dataclass(frozen=True)
class CandidateStill:
    """A picture of the video as a JPEG file; a candidate for a keyframe."""

    time: float
    """Seconds of the video."""
    path: Path


@dataclass(frozen=True, eq=False)
class EncodedVideo:
    """The kept span of a video as it is stored; frame i shows the video at second ``start + i / fps``."""

    path: Path
    width: int
    height: int
    fps: float
    num_frames: int
    start: float
    """Second of the video that frame 0 shows."""
    idr_frames: tuple[int, ...]
    """Indices of the IDR frames, ascending; the first is 0."""
    shots: tuple[float, ...]
    """Seconds of the video at which a new shot begins, ascending; the start of the span is not among them."""
    stills: tuple[CandidateStill, ...]
    """Candidates for keyframes, evenly spaced, ascending in time."""
    motion: NDArray[np.float32]
    """For each frame, the mean absolute luma difference to the previous frame, 0 to 1."""

    @property
    def end(self) -> float:
        """Second of the video at which the last frame ends; before the requested end if the picture ends earlier."""
        return self.start + self.num_frames / self.fps

    def frame_at(self, seconds: float) -> int:
        """Return the index of the frame shown at a second of the video, stored or not."""
        return frame_at(seconds - self.start, self.fps)

    def frame_from(self, seconds: float) -> int:
        """Return the index of the first frame at or after a second of the video, stored or not."""
        return math.ceil((seconds - self.start - _ROUNDING) * self.fps)

    def motion_between(self, start: float, end: float) -> float:
        """Return the mean motion, 0 to 1, of the frames that begin in ``(start, end)``; 0 if there are none."""
        part = self.motion[max(self.frame_at(start) + 1, 1) : max(self.frame_from(end), 0)]
        return float(part.mean()) if part.size else 0.0


def frame_at(seconds: float, fps: float) -> int:
    """Return the index of the frame shown `seconds` after the first."""
    return math.floor((seconds + _ROUNDING) * fps)
