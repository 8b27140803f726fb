"""Divide a span at the cheapest cut points into parts near a target length, by dynamic programming.

Used by `curation.media.clips.clip_tree` once for each level. Works on numbers only and knows nothing of speech or
pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from curation.media.clips.segment_settings import LevelSettings

_Floats = npt.NDArray[np.float64]

# Costs are added to the squared relative deviation from the target, which is 0.25 at 0.5 and at 1.5 times the target.
_MAX_DEVIATION: Final = 9.0  # upper limit of the deviation; reached at four times the target
_OVERLONG: Final = 10.0  # cost of a part longer than the maximum that could be cut
_UNDERSIZED: Final = 1.0  # cost of a part shorter than the minimum
_SLIVER: Final = 20.0  # cost of a part shorter than `smallest`


@dataclass(frozen=True)
class CutPoint:
    """A time at which a video may be cut."""

    time: int
    """Milliseconds."""
    cost: float
    """Cost of cutting here, besides the lengths that it gives; negative for a good place."""


def partition(cuts: Sequence[CutPoint], lengths: LevelSettings, smallest: float) -> list[int]:
    """Return the indices of the cuts that divide the span at least cost; the first and the last are included.

    Args:
        cuts: at least two, at ascending times.
        lengths: preferred lengths of the parts.
        smallest: seconds; shorter parts are made only if nothing else is possible.

    A part longer than the maximum is made only of a single unit (from one cut to the next), or to avoid a part
    shorter than `smallest`. ``best[i]`` is the least cost up to cut i. The part that ends there begins no further
    back than the maximum length, plus one unit, plus what would be shorter than `smallest`: time is linear in the
    number of cuts.
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
    """Return the costs of parts of these lengths; the last is a single unit, which can't be shortened."""
    costs: _Floats = np.minimum((seconds / lengths.target - 1) ** 2, _MAX_DEVIATION)
    costs += _UNDERSIZED * (seconds < lengths.minimum) + _SLIVER * (seconds < smallest)
    costs[:-1] += _OVERLONG * (seconds[:-1] > lengths.maximum)
    return costs
