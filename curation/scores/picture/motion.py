"""Motion: the mean length of the optical flow, and its parts by the camera and by what moves in front of it.

The flow between two frames a quarter of a second apart is that of DIS (Kroeger et al., *Fast Optical Flow using Dense
Inverse Search*, ECCV 2016) on small frames. The camera's part is the similarity transform (shift, turn, zoom) that most
of the flow agrees with (RANSAC); the rest is what moves. Lengths are in short sides of the picture a second, so that
they do not depend on the resolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curation.scores.root_frames import SMALL, Frame, Luma
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value, mean_of
from runtime.settings import Settings

_FRAMES_APART: Final = 2
"""Stored frames from the first to the second of a pair: a quarter of a second at 8 frames a second."""
_LONGEST_GAP: Final = 0.5
"""Seconds between two frames from which they are no pair."""
_LEAST_SIDE: Final = 32
"""Pixels of a picture that is large enough for optical flow."""
_GRID: Final = 4
"""Pixels between the points whose flow is looked at."""
_AGREES: Final = 0.5
"""Pixels by which a point's flow may differ from the camera's."""
_CUT: Final = 0.12
"""Mean difference of luma (0 to 1), after the flow is undone, from which two frames are of different shots."""


class MotionSettings(Settings):
    """The score of motion."""

    pairs_per_second: float = Field(default=1.0, gt=0, le=8)
    """Pairs of frames to compare; up to 1 each begins with a keyframe, and no more is decoded than the pairs."""
    short_side: int = Field(default=SMALL, ge=64, le=256)
    """Pixels to which the short side of a frame is scaled down first."""


class FlowLengths(NamedTuple):
    """Mean lengths of the flow between two frames, in short sides a second."""

    since: float
    """Time of the first frame, seconds from the root's first."""
    all: float
    camera: float
    objects: float


class MotionScorer(Scorer[FlowLengths | None]):
    """Measures the flow of pairs of frames."""

    def __init__(self, settings: MotionSettings) -> None:
        self.sampling = Sampling(settings.pairs_per_second, and_after=_FRAMES_APART)
        self._short_side = settings.short_side

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[FlowLengths | None]:
        """Return the flow from the frame before to each; None at the second of no pair, and at a cut."""
        earlier = [before, *frames[:-1]]
        return [self._between(first, second) for first, second in zip(earlier, frames, strict=True)]

    def score(self, clip: ScoredClip[FlowLengths | None]) -> Mapping[str, Value]:
        """Return the means over the pairs that are within the clip."""
        pairs = [pair for _, pair in clip.measures if pair is not None and pair.since >= clip.start]
        return {
            "motion_magnitude": mean_of([pair.all for pair in pairs]),
            "camera_motion": mean_of([pair.camera for pair in pairs]),
            "object_motion": mean_of([pair.objects for pair in pairs]),
        }

    def _between(self, first: Frame | None, second: Frame) -> FlowLengths | None:
        if first is None or second.time - first.time > _LONGEST_GAP:
            return None
        one, other = first.small_luma(self._short_side), second.small_luma(self._short_side)
        if min(one.shape) < _LEAST_SIDE:
            return None
        flow_HW2 = self._flow.calc(one, other, None)
        if _differs(one, other, flow_HW2):
            return None
        per_second = 1 / (min(one.shape) * (second.time - first.time))
        points_N2, moves_N2 = _grid_moves(flow_HW2)
        camera_N2 = camera_moves(points_N2, moves_N2)
        parts = (moves_N2, camera_N2, moves_N2 - camera_N2)
        return FlowLengths(first.time, *(float(np.hypot(*part.T).mean()) * per_second for part in parts))

    @cached_property
    def _flow(self) -> Any:
        import cv2

        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        flow.setFinestScale(1)  # the preset's quarter of the size is too coarse for slow motion
        flow.setPatchStride(6)
        flow.setVariationalRefinementIterations(5)  # without it, bare edges (bars) have no flow
        return flow


def camera_moves(points_N2: NDArray[np.float32], moves_N2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the moves of points by the similarity transform that most moves agree with; zero if none is found.

    Args:
        points_N2: x and y of each point, pixels.
        moves_N2: the flow at each point.
    """
    import cv2

    matrix, _ = cv2.estimateAffinePartial2D(
        points_N2,
        points_N2 + moves_N2,
        method=cv2.RANSAC,
        ransacReprojThreshold=_AGREES,
        maxIters=200,
        refineIters=2,
    )
    if matrix is None or not np.isfinite(matrix).all():
        return np.zeros_like(moves_N2)
    turned_N2 = points_N2 @ matrix[:, :2].T.astype(np.float32)
    return turned_N2 + matrix[:, 2].astype(np.float32) - points_N2


def _grid_moves(flow_HW2: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the points of a grid over a picture, x and y, and the flow at each."""
    height, width, _ = flow_HW2.shape
    rows, columns = (each.ravel() for each in np.mgrid[_GRID // 2 : height : _GRID, _GRID // 2 : width : _GRID])
    return np.stack([columns, rows], axis=-1).astype(np.float32), flow_HW2[rows, columns]


def _differs(one: Luma, other: Luma, flow_HW2: NDArray[np.float32]) -> bool:
    """Return True if two frames show different things: they differ, and still do after the flow is undone."""
    import cv2

    if float(cv2.absdiff(one, other).mean()) < _CUT * 255:
        return False
    height, width = one.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    undone = cv2.remap(
        other, x + flow_HW2[..., 0], y + flow_HW2[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return float(cv2.absdiff(one, undone).mean()) >= _CUT * 255


MOTION: Final = ScoreKind(
    name="motion",
    summary="Length of the optical flow, and its parts by the camera and by objects.",
    settings=MotionSettings,
    columns=lambda settings: [
        ScoreColumn("motion_magnitude", "mean length of the flow, in short sides of the picture a second", low=0),
        ScoreColumn("camera_motion", "the part of the camera (shift, turn, zoom), same unit", low=0),
        ScoreColumn("object_motion", "the rest: what moves by itself, same unit", low=0),
    ],
    build=MotionScorer,
    programs=("opencv-python-headless",),
)
