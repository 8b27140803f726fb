"""Detect shot boundaries and measure motion from small frames while a video is encoded.

The encoder delivers each stored frame a second time as a thumbnail; only two numbers of it are kept.
"""

from __future__ import annotations

from array import array
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from curation.media.picture.flash_filter import FlashFilter

_LONGEST_FLASH: Final = 0.5  # seconds


class ShotDetector:
    """Take a video's frames one by one, in order; collect shot boundaries and motion.

    Shots are detected with PySceneDetect's adaptive detector: the change between two frames in hue, saturation and
    brightness must exceed that of the neighbouring frames, so that fast motion is not taken for a cut. Flashes, after
    which the same shot goes on, are taken out first.
    """

    def __init__(self, fps: float, min_shot: float, threshold: float) -> None:
        """Prepare for frames at `fps` a second; shots last at least `min_shot` seconds.

        `threshold`: a cut changes the picture this many times more than the neighbouring frames.
        """
        length = max(1, round(min_shot * fps))
        self._detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=length)
        self._fps = fps
        self._flashes = FlashFilter(int(_LONGEST_FLASH * fps))
        self._decided = 0
        self._previous_luma: NDArray[np.uint8] | None = None
        self._differences = array("f")
        self.cuts: list[int] = []
        """Indices of the frames that begin a new shot; frame 0 and those of the last half second are not among them."""

    def add(self, frame_bgr: NDArray[np.uint8]) -> None:
        """Take the next frame: height x width x 3, 0 to 255."""
        for frame in self._flashes.add(frame_bgr):
            timecode = FrameTimecode(self._decided, self._fps)
            self.cuts += [cut.frame_num for cut in self._detector.process_frame(timecode, frame)]
            self._decided += 1
        luma: NDArray[np.uint8] = cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY)
        previous = luma if self._previous_luma is None else self._previous_luma
        self._differences.append(float(cv2.absdiff(luma, previous).mean()) / 255)
        self._previous_luma = luma

    @property
    def motion(self) -> NDArray[np.float32]:
        """For each frame, the mean absolute luma difference to the previous frame, 0 to 1; 0 for the first."""
        return np.array(self._differences, np.float32)
