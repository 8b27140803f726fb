"""Frames of a video file, or of a part of it, for code of one's own."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UserError
from training.data.decoding.clip_decoder import decode_clips


def read_video(path: str | Path, start: float = 0.0, end: float | None = None, frames: int = 12) -> NDArray[np.uint8]:
    """Decode evenly spaced frames of a video as a player shows them: RGB, turned upright, in square pixels.

    Args:
        path: of a video file.
        start: seconds from the first frame.
        end: seconds from the first frame; None: the end of the video.
        frames: number of frames, each from the middle of its part of the span; repeated if the span has fewer.

    Returns:
        uint8 [frames, height, width, 3].

    Raises:
        UserError: there is no such file.
        ClipFailed: it is no video, or can't be decoded there.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    (video_THWC,) = decode_clips(file, [(start, math.inf if end is None else end)], frames, snap=False)
    return video_THWC
