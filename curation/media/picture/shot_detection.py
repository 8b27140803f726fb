"""What small frames tell while a video is encoded: where shots begin, and how much the picture moves.

The encoder hands over each stored frame once more as a thumbnail; nothing is kept of it but two numbers.
"""

from __future__ import annotations

from array import array

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector


class PictureWatcher:
    """Takes a video's frames one by one, in order, and says where its shots begin.

    Shots are found with PySceneDetect's adaptive detector: the change between two frames in hue, saturation and
    brightness must stand out from its neighbours, so that fast motion is no cut.
    """

    def __init__(self, fps: float, min_shot: float, threshold: float) -> None:
        """Watch frames at `fps` a second; shots last at least `min_shot` seconds.

        `threshold`: how many times the change of its neighbours a cut must be.
        """
        length = max(1, round(min_shot * fps))
        self._detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=length)
        self._fps = fps
        self._before: NDArray[np.uint8] | None = None
        self._differences = array("f")
        self.cuts: list[int] = []
        """Indices of the frames that begin a new shot; frame 0 is not among them."""

    def add(self, frame_bgr: NDArray[np.uint8]) -> None:
        """Take the next frame: height x width x 3, 0 to 255."""
        timecode = FrameTimecode(len(self._differences), self._fps)
        self.cuts += [cut.frame_num for cut in self._detector.process_frame(timecode, frame_bgr)]
        luma: NDArray[np.uint8] = cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY)
        before = luma if self._before is None else self._before
        self._differences.append(float(cv2.absdiff(luma, before).mean()) / 255)
        self._before = luma

    @property
    def motion(self) -> NDArray[np.float32]:
        """For each frame, the mean absolute difference of luma to the frame before, 0 to 1; 0 for the first."""
        return np.array(self._differences, np.float32)
