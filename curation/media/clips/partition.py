"""The dynamic programme behind the clip tree: divide a span into parts near a target length, at the best cuts.

Used by `curation.media.clips.clip_tree` once for each level. Pure numbers: it knows nothing of speech or pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from runtime.settings import Settings

_Floats = npt.NDArray[np.float64]

# Costs beside the squared relative deviation from the target, which is 0.25 at half and at one and a half times it.
_FARTHEST: Final = 9.0  # of the deviation: beyond four times the target it makes no difference
_OVERLONG: Final = 10.0  # longer than the maximum though it could be cut
_UNDERSIZED: Final = 1.0  # shorter than the minimum
_SLIVER: Final = 20.0  # shorter than any clip should be


class LevelSettings(Settings):
    """Lengths of the clips of one level, in seconds."""

    target: float = Field(gt=0)
    """The length aimed at."""
    minimum: float = Field(gt=0)
    """Clips shorter than this are avoided."""
    maximum: float = Field(gt=0)
    """Clips are no longer than this, unless there is nowhere to cut."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.minimum <= self.target <= self.maximum:
            raise ValueError(f"minimum <= target <= maximum must hold ({self.minimum}, {self.target}, {self.maximum})")
        return self


@dataclass(frozen=True)
class Cut:
    """A place to cut."""

    time: int
    """Milliseconds."""
    cost: float
    """What a cut here costs beside the lengths it makes; negative for a good place."""


def partition(cuts: Sequence[Cut], lengths: LevelSettings, smallest: float) -> list[int]:
    """Indices of the cuts that divide the span from the first to the last of them at least cost, both included.

    Args:
        cuts: at least two, in order of time, no two at once.
        lengths: what the parts should measure.
        smallest: seconds; shorter parts are made only where nothing else is possible.

    A part longer than the maximum is made only of a single unit (from one cut to the next), or to avoid a sliver.
    best[i] is the least cost of all up to cut i. The part before it begins no further back than the maximum length,
    but for one unit more and what would be a sliver before that: time is linear in the number of cuts.
    """
    times = np.array([cut.time for cut in cuts]) / 1000
    best, begins = np.zeros(len(cuts)), np.zeros(len(cuts), dtype=np.int64)
    earliest = np.searchsorted(times, times - lengths.maximum)  # first cut within the maximum
    for i in range(1, len(cuts)):
        one_more = max(int(earliest[i - 1]) - 1, 0)
        j = int(np.searchsorted(times, times[one_more] - smallest))
        costs = best[j:i] + _length_costs(times[i] - times[j:i], lengths, smallest)
        choice = int(np.argmin(costs))
        best[i], begins[i] = costs[choice] + cuts[i].cost, j + choice
    chosen = [len(cuts) - 1]
    while chosen[-1] > 0:
        chosen.append(int(begins[chosen[-1]]))
    return chosen[::-1]


def _length_costs(seconds: _Floats, lengths: LevelSettings, smallest: float) -> _Floats:
    """What parts of these lengths cost; the last is a single unit, which can't be shortened."""
    costs: _Floats = np.minimum((seconds / lengths.target - 1) ** 2, _FARTHEST)
    costs += _UNDERSIZED * (seconds < lengths.minimum) + _SLIVER * (seconds < smallest)
    costs[:-1] += _OVERLONG * (seconds[:-1] > lengths.maximum)
    return costs
