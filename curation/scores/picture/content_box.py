"""The picture inside black bars: the box of a frame outside of which rows and columns are black. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import numpy as np

from curation.scores.root_frames import Luma

_NEAR: Final = 3
"""Frames before and after one whose content decides on its box."""
_STRETCH: Final = 6
"""Least frames of a stretch with bars of its own."""
_SLACK: Final = 0.03
_BLACK: Final = 24
"""Mean luma (0 to 255) up to which a row or a column is black; the limit of ffmpeg's ``cropdetect``."""


class ContentBox(NamedTuple):
    """A box within a picture, as shares of its height and width, 0 to 1."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def area(self) -> float:
        """Share of the picture that it covers."""
        return (self.bottom - self.top) * (self.right - self.left)

    def joined(self, other: Self) -> ContentBox:
        """Return the smallest box around both."""
        edges = zip(self, other, (min, max, min, max), strict=True)
        return ContentBox(*(choose(one, two) for one, two, choose in edges))

    def cut(self, luma: Luma) -> Luma:
        """Return the part of a picture inside the box, at least one pixel."""
        height, width = luma.shape
        top, left = min(round(self.top * height), height - 1), min(round(self.left * width), width - 1)
        bottom, right = max(round(self.bottom * height), top + 1), max(round(self.right * width), left + 1)
        return luma[top:bottom, left:right]


def content_box(luma: Luma) -> ContentBox | None:
    """Return the box around the rows and columns that are not black; None if all are."""
    rows, columns = np.flatnonzero(luma.mean(axis=1) > _BLACK), np.flatnonzero(luma.mean(axis=0) > _BLACK)
    if not len(rows) or not len(columns):
        return None
    height, width = luma.shape
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return ContentBox(float(top / height), float(bottom / height), float(left / width), float(right / width))


def common_box(boxes: Sequence[ContentBox | None]) -> ContentBox | None:
    """Return the box around the content of several frames; None if all of them are black."""
    common: ContentBox | None = None
    for box in boxes:
        if box is not None:
            common = box if common is None else common.joined(box)
    return common


def steady_boxes(boxes: Sequence[ContentBox | None]) -> list[ContentBox | None]:
    """Return a box for each frame: that of a stretch whose black bars stay the same, otherwise that of all frames.

    A video that was cut into another one keeps its own bars; dark frames, whose content changes from one to the next,
    have the box of the whole.
    """
    whole = common_box(boxes)
    near = [common_box(boxes[max(0, at - _NEAR) : at + _NEAR + 1]) for at in range(len(boxes))]
    chosen: list[ContentBox | None] = [whole] * len(boxes)
    begin = 0
    for at in range(1, len(boxes) + 1):
        if at == len(boxes) or not _alike(near[at], near[begin]):
            if at - begin >= _STRETCH:
                chosen[begin:at] = [near[begin]] * (at - begin)
            begin = at
    return [box or whole for box in chosen]


def _alike(one: ContentBox | None, other: ContentBox | None) -> bool:
    """Return True if no edge of two boxes differs by more than a few hundredths."""
    if one is None or other is None:
        return False
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= _SLACK
