"""Overlay: the share of the picture that a logo or another still overlay covers.

An overlay is where gradients stay the same while the rest of the picture changes, across a pan or a cut (the cue of
Dekel et al., *On the Effectiveness of Visible Watermarks*, CVPR 2017). Where most gradients stay (a camera on a
tripod), an overlay can't be told from the scene, and the score is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curation.scores.root_frames import Frame, Luma
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value
from runtime.settings import Settings

_STEP: Final = 6.0
"""Length of a gradient (Sobel of luma, an eighth) from which it is an edge."""
_NEAR: Final = 0.5
"""Distance of a frame's gradient from the mean gradient, as a share of its length, up to which it is the same."""
_STAYS: Final = 0.9
"""Share of frames in which a gradient must be the same to stay."""
_LEAST_FRAMES: Final = 5
_CLOSE: Final = 7
"""Pixels between edges of one overlay."""
_LEAST_SIZE: Final = 12
"""Pixels of the smallest overlay."""
_FILLED: Final = 0.3
"""Share of a box that the edges in it fill, once close ones are joined; a frame around a picture fills less."""
_LONGEST: Final = 0.8
"""Share of the picture's side from which still edges are those of black bars or of a frame."""


class OverlaySettings(Settings):
    """The score of still overlays."""

    frames_per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames to look at; up to 1 only keyframes are decoded."""
    most_still: float = Field(default=0.5, gt=0, le=1)
    """Share of the edges that may stay; with more of them the score is null."""


class OverlayScorer(Scorer[NDArray[np.int8]]):
    """Looks for edges that stay."""

    def __init__(self, settings: OverlaySettings) -> None:
        self.sampling = Sampling(settings.frames_per_second)
        self._most_still = settings.most_still

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[NDArray[np.int8]]:
        """Return the gradients of each frame, int8 [2, H, W]."""
        return [gradients(frame.small_luma()) for frame in frames]

    def score(self, clip: ScoredClip[NDArray[np.int8]]) -> Mapping[str, Value]:
        """Return the share of the picture that boxes around still edges cover; None with fewer than 5 frames."""
        frames = [value for _, value in clip.measures]
        if len(frames) < _LEAST_FRAMES:
            return {"overlay": None}
        still, edges = _still(frames)
        told = still.sum() <= self._most_still * edges
        return {"overlay": covered(still) if told else None}


def gradients(luma: Luma) -> NDArray[np.int8]:
    """Return the gradient of luma to the right and downwards, an eighth of Sobel's: int8 [2, H, W]."""
    import cv2

    both = [cv2.Sobel(luma, cv2.CV_16S, *order) for order in ((1, 0), (0, 1))]
    return (np.stack(both) // 8).astype(np.int8)


def covered(still: NDArray[np.bool_]) -> float:
    """Return the share of a picture that the boxes around groups of flags cover; of a hollow group, its own pixels."""
    import cv2

    closed = cv2.morphologyEx(still.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((_CLOSE, _CLOSE), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(closed)
    mask = np.zeros(still.shape, bool)
    for label, (left, top, width, height, size) in enumerate(boxes[1:count], start=1):
        if size < _LEAST_SIZE or width > _LONGEST * still.shape[1] or height > _LONGEST * still.shape[0]:
            continue
        box = slice(top, top + height), slice(left, left + width)
        mask[box] |= True if size >= _FILLED * width * height else labels[box] == label
    return float(mask.mean())


def _still(frames: Sequence[NDArray[np.int8]]) -> tuple[NDArray[np.bool_], float]:
    """Return the flags of pixels whose gradient stays, [H, W], and the mean number of edge pixels in a frame."""
    mean_2HW = np.zeros(frames[0].shape, np.float32)
    for frame in frames:
        mean_2HW += frame
    mean_2HW /= len(frames)
    square_HW = _squared(mean_2HW)
    same_HW = np.zeros(square_HW.shape, np.int32)
    edges = 0
    for frame in frames:
        same_HW += _squared(frame - mean_2HW) <= _NEAR**2 * square_HW
        edges += int(np.count_nonzero(_squared(frame.astype(np.float32)) >= _STEP**2))
    return (square_HW >= _STEP**2) & (same_HW >= _STAYS * len(frames)), edges / len(frames)


def _squared(vectors_2HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared lengths of vectors, [H, W]."""
    right_HW, down_HW = vectors_2HW
    return right_HW * right_HW + down_HW * down_HW


OVERLAY: Final = ScoreKind(
    name="overlay",
    summary="Share of the picture that a logo or another still overlay covers.",
    settings=OverlaySettings,
    columns=lambda settings: [
        ScoreColumn("overlay", "share of the picture's area; null where the scene itself is still", low=0, high=1)
    ],
    build=OverlayScorer,
    programs=("opencv-python-headless",),
)
