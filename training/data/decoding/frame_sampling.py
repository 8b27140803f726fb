"""Chooses the frames that represent a clip: pure arithmetic on frame times, without a decoder.

A clip is divided into `count` equal segments, and the frame shown at the middle of each is taken, or at another moment
of it. A frame is shown from its own time to that of the next frame. If every segment has a keyframe (that is, once
segments are as long as a group of pictures), its keyframe nearest to that moment is taken, so that only keyframes are
decoded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Frame = NDArray[np.uint8]
"""RGB picture [H, W, 3]."""

_ROUNDING = 1e-6  # seconds; a time that is equal to a frame's time up to this means that frame


@dataclass(frozen=True)
class Timeline:
    """The frames of a video in display order."""

    times: NDArray[np.float64]
    """Seconds from the first frame, increasing."""
    keyframes: NDArray[np.int64]
    """Numbers of the frames at which decoding can begin, increasing; the first frame is always one of them."""
    end: float
    """Seconds at which the last frame ends."""

    @classmethod
    def of(cls, times: ArrayLike, keyframes: ArrayLike) -> Timeline:
        """Build from frame times; the last frame gets the median duration.

        Args:
            times: increasing, any origin.
            keyframes: numbers of keyframes.
        """
        array = np.asarray(times, np.float64)
        array = array - array[0]
        usual = float(np.median(np.diff(array))) if len(array) > 1 else 1.0
        return cls(array, np.union1d([0], np.asarray(keyframes, np.int64)), float(array[-1]) + usual)

    @classmethod
    def even(cls, count: int, fps: float, gop: int) -> Timeline:
        """Build the timeline of a constant-rate video with a keyframe every `gop` frames."""
        return cls(np.arange(count) / fps, np.arange(0, count, gop), count / fps)


def segment_midpoints(start: float, end: float, count: int) -> NDArray[np.float64]:
    """Return the middles of `count` equal segments of [start, end), seconds."""
    return np.asarray(start + (np.arange(count) + 0.5) * ((end - start) / count), np.float64)


def frames_of_clip(
    timeline: Timeline,
    start: float,
    end: float,
    count: int,
    snap: bool = True,
    moments: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Return the numbers of the `count` frames that represent a clip, in order; repeated if the clip has fewer.

    Args:
        timeline: of the whole video.
        start: seconds from the first frame; clipped to the video.
        end: seconds from the first frame, `math.inf` for the end of the video; clipped to it.
        count: number of frames.
        snap: take keyframes if every segment has one.
        moments: for each segment the moment of its frame, 0 (begin) to 1 (end); None: the middles.

    Raises:
        ValueError: the clip is empty or entirely outside the video.
    """
    first, last = max(start, 0.0), min(end, timeline.end)
    if not (math.isfinite(first) and first < last):
        raise ValueError(f"a clip from {start:g} to {end:g} s in a video of {timeline.end:g} s")
    middles = segment_midpoints(first, last, count)
    half = (last - first) / count / 2
    at = middles if moments is None else middles + (2 * moments - 1) * half
    shown = np.searchsorted(timeline.times, at + _ROUNDING, side="right") - 1
    numbers = np.clip(shown, 0, len(timeline.times) - 1)
    snapped = _keyframe_of_each_segment(timeline, middles, half, at) if snap else None
    return numbers if snapped is None else snapped


def _keyframe_of_each_segment(
    timeline: Timeline, middles: NDArray[np.float64], half: float, at: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    """Return each segment's keyframe that is nearest to the time `at` in it; None if a segment has no keyframe."""
    times = timeline.times[timeline.keyframes]
    first = np.searchsorted(times, middles - half - _ROUNDING)
    last = np.searchsorted(times, middles + half - _ROUNDING) - 1
    if (last < first).any():
        return None
    right = np.searchsorted(times, at)
    before, after = np.clip(right - 1, first, last), np.clip(right, first, last)
    nearest = np.where(at - times[before] <= times[after] - at + _ROUNDING, before, after)
    return timeline.keyframes[nearest]
