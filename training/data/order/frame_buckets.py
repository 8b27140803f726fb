"""Frames by duration: how many frames each clip of a global batch gets; pure.

A clip has about `rate` frames a second, rounded down to one of a few *buckets*, so that clips of equal length can be
computed together without padding. The largest bucket is the budget of a long clip, the smallest what a short one needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from training.data.data_settings import DataSettings

_SMALLEST_SHARE: Final = 64
_ROUNDING: Final = 1e-6  # frames; 7.9999999 frames of a clip's seconds are 8


@dataclass(frozen=True)
class FrameBuckets:
    """The numbers of frames that clips may have, and the rate that decides among them."""

    rate: float
    """Frames a second."""
    counts: tuple[int, ...]
    """Increasing numbers of frames."""

    @classmethod
    def of(cls, settings: DataSettings) -> FrameBuckets | None:
        """Return the buckets that the settings name; None: all clips have the same number of frames."""
        if settings.frames_per_second is None:
            return None
        return cls(settings.frames_per_second, settings.frame_buckets)

    def frames_of(self, seconds: float) -> int:
        """Return the frames of a clip: the largest bucket that does not exceed the rate, but at least the smallest.

        Args:
            seconds: duration of the clip; infinite if it is unknown, which gives the largest bucket.
        """
        most = seconds * self.rate + _ROUNDING
        return max((count for count in self.counts if count <= most), default=self.counts[0])

    def plan(self, seconds: Sequence[float]) -> list[int]:
        """Return the frames of each clip of a global batch.

        The number of clips in a bucket is rounded to a multiple of `equal_parts`, so that ranks and micro-batches have
        equal shapes. The clips nearest to the border of two buckets change sides, and no others.

        Args:
            seconds: duration of each clip, over all ranks.
        """
        parts = equal_parts(len(seconds))
        order = np.argsort(np.asarray(seconds, np.float64), kind="stable")
        asked = np.array([self.frames_of(seconds[number]) for number in order])
        borders = [round(int(np.searchsorted(asked, count)) / parts) * parts for count in self.counts]
        planned = [0] * len(seconds)
        for count, (first, end) in zip(self.counts, pairwise([*borders, len(seconds)]), strict=True):
            for number in order[first:end]:
                planned[number] = count
        return planned


def equal_parts(clips: int) -> int:
    """Return the number that the clips of a bucket are a multiple of: a power of two, by which the batch is divisible.

    At most a 64th of the batch: few clips change their bucket, and on as many ranks all shapes are equal. It depends
    on the batch alone, so that a run can continue on another number of ranks.

    Args:
        clips: in the global batch.
    """
    return math.gcd(clips, 1 << max(0, (clips // _SMALLEST_SHARE).bit_length() - 1))
