"""Take flashes out of a sequence of frames before shots are detected in it.

A camera flash, a lightning, or a black or broken frame changes the picture at once, as a cut does; but the picture
then comes back. A cut can be told from it only by looking at both sides of the change.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_SUDDEN: Final = 0.04  # mean difference of a flash to the frame before, of the range of values
_RETURNED: Final = 1 / 3  # the picture is back when it differs from the frame before this much less than the flash

Frame = NDArray[np.uint8]


class FlashFilter:
    """Pass frames on in order, with each flash replaced by a blend of the frames around it."""

    def __init__(self, longest: int) -> None:
        """Prepare for flashes of at most `longest` frames."""
        self._longest = longest
        self._before: Frame | None = None
        self._waiting: list[Frame] = []

    def add(self, frame: Frame) -> list[Frame]:
        """Take the next frame, and return the frames that are now decided: at most `longest` frames wait."""
        self._waiting.append(frame)
        decided: list[Frame] = []
        while self._waiting and (ready := self._decide(self._waiting)):
            decided += ready
            self._before = ready[-1]
            del self._waiting[: len(ready)]
        return decided

    def _decide(self, waiting: list[Frame]) -> list[Frame]:
        """Return the first frames of `waiting` as they are to be passed on; empty if more must be seen first."""
        before = self._before
        if before is None or (change := _difference(before, waiting[0])) < _SUDDEN:
            return waiting[:1]
        for length, frame in enumerate(waiting[1:], start=1):
            if _difference(before, frame) <= _RETURNED * change:
                return [_blend(before, frame, i / (length + 1)) for i in range(1, length + 1)] + [frame]
        return waiting[:1] if len(waiting) > self._longest else []


def _difference(one: Frame, other: Frame) -> float:
    return float(cv2.absdiff(one, other).mean()) / 255


def _blend(one: Frame, other: Frame, share: float) -> Frame:
    blended: Frame = cv2.addWeighted(one, 1 - share, other, share, 0).astype(np.uint8, copy=False)
    return blended
