"""Split screens: the share of a clip's frames that one straight line divides into panels, from edge to edge.

Two or more videos side by side, or a small video between blurred sides, have such a line at one place in frame after
frame. So have a few still scenes (a door frame from top to bottom): use the score with a threshold of your own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curation.scores.picture.content_box import content_box
from curation.scores.root_frames import Frame, Luma
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value
from runtime.settings import Settings

_REACH: Final = 1
"""Pixels on either side of a line between which luma is compared: scaling blurs a line."""
_STEP: Final = 10
"""Difference of luma (0 to 255) that is an edge."""
_BESIDE: Final = 6
"""Pixels beside a line, where steps of luma must be smaller."""
_PROMINENT: Final = 2.0
"""Steps of luma across a line, as a multiple of those beside it."""
_INNER: Final = 0.12
"""Share of the width at either side where a line is no divider."""
_SAME: Final = 0.02
"""Share of the width within which lines of two frames are at one place."""

Line = tuple[Literal["down", "across"], int]
"""A divider: its direction, and its place in steps of `_SAME`."""


class SplitScreenSettings(Settings):
    """The score of split screens."""

    frames_per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames to look at; up to 1 only keyframes are decoded."""
    length: float = Field(default=0.85, gt=0.5, le=1)
    """Share of the picture's height (or width) that a line must run along."""


class SplitScreenScorer(Scorer[frozenset[Line]]):
    """Looks for lines that divide frames."""

    def __init__(self, settings: SplitScreenSettings) -> None:
        self.sampling = Sampling(settings.frames_per_second)
        self._length = settings.length

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[frozenset[Line]]:
        """Return the dividing lines of each frame."""
        return [dividers(frame.small_luma(), self._length) for frame in frames]

    def score(self, clip: ScoredClip[frozenset[Line]]) -> Mapping[str, Value]:
        """Return the share of frames that have the most frequent line."""
        lines = Counter(line for _, found in clip.measures for line in found)
        most = max(lines.values(), default=0)
        return {"split_screen": most / len(clip.measures) if clip.measures else None}


def dividers(luma: Luma, length: float) -> frozenset[Line]:
    """Return the lines that divide a picture within its black bars."""
    box = content_box(luma)
    if box is None:
        return frozenset()
    picture = box.cut(luma).astype(np.int16)
    down: set[Line] = {("down", place) for place in _places(picture, length)}
    across: set[Line] = {("across", place) for place in _places(picture.T, length)}
    return frozenset(down | across)


def _places(picture: NDArray[np.int16], length: float) -> set[int]:
    """Return the places of upright lines, in steps of `_SAME` of the width."""
    width = picture.shape[1]
    if width < 4 * _BESIDE:
        return set()
    step = np.abs(picture[:, 2 * _REACH :] - picture[:, : -2 * _REACH])
    share, strength = (np.pad(each.mean(axis=0), _REACH) for each in (step > _STEP, step))
    beside = np.maximum(np.roll(strength, _BESIDE), np.roll(strength, -_BESIDE))
    inner = slice(round(_INNER * width), width - round(_INNER * width))
    lines = np.flatnonzero((share[inner] >= length) & (strength[inner] >= _PROMINENT * beside[inner])) + inner.start
    return {round(line / width / _SAME) for line in lines}


SPLIT_SCREEN: Final = ScoreKind(
    name="split_screen",
    summary="Share of frames that a straight line divides into panels.",
    settings=SplitScreenSettings,
    columns=lambda settings: [
        ScoreColumn(
            "split_screen", "share of frames with a dividing line at the clip's most frequent place", low=0, high=1
        )
    ],
    build=SplitScreenScorer,
)
