"""Frames of a step with frames by duration, against a fixed number and against padding; a simulated plan.

    python -m bench.lengths

A batch of 4,096 clips on 64 ranks: short, medium and long clips in the proportion of whole clip trees, one frame a
second, the default buckets. No clips are read, so the figures do not depend on the machine.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

from training.data.data_settings import DataSettings
from training.data.order.frame_buckets import FrameBuckets

_BATCH, _RANKS, _BATCHES, _MICRO = 4096, 64, 20, 64
_LEVELS = ((13.0, 4), (30.0, 2), (60.0, 1))
"""Seconds and weight of short, medium and long clips."""


def main() -> None:
    """Print a Markdown table: one row for each plan."""
    buckets = FrameBuckets.of(DataSettings(frames_per_second=1.0))
    assert buckets is not None
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for number in range(_BATCHES):
        seconds = _durations(random.Random(number))
        asked = [buckets.frames_of(second) for second in seconds]
        planned = buckets.plan(seconds)
        moved = sum(a != b for a, b in zip(asked, planned, strict=True)) / _BATCH
        padded = [max(asked[begin : begin + _MICRO]) for begin in range(0, _BATCH, _MICRO) for _ in range(_MICRO)]
        dealt = sorted(planned)
        plans = {
            "32 frames for every clip": (_runs([buckets.counts[-1]] * _BATCH), 0.0),
            f"by duration, padded in micro-batches of {_MICRO}": (_runs(padded), 0.0),
            "by duration, each rank takes a run of the batch": (_runs(asked), 0.0),
            "by duration, sorted and dealt to the ranks (ours)": ([dealt[r::_RANKS] for r in range(_RANKS)], moved),
        }
        for name, (ranks, share) in plans.items():
            sums = [sum(rank) for rank in ranks]
            rows.setdefault(name, []).append((sum(sums) / _BATCH, max(sums) * _RANKS / sum(sums), share))
    _show(rows)


def _show(rows: dict[str, list[tuple[float, float, float]]]) -> None:
    print("| plan | frames a clip | of 32 for every clip | most loaded rank / mean | clips in a neighbouring bucket |")
    print("|---|---|---|---|---|")
    for name, values in rows.items():
        frames, load, moved = (statistics.median(column) for column in zip(*values, strict=True))
        spread = [value[0] for value in values]
        print(f"| {name} | {frames:.1f} ({min(spread):.1f}–{max(spread):.1f}) | {frames / 32:.2f} | {load:.3f} | "
              f"{moved:.1%} |")  # fmt: skip


def _runs(frames: Sequence[int]) -> list[Sequence[int]]:
    own = _BATCH // _RANKS
    return [frames[begin : begin + own] for begin in range(0, _BATCH, own)]


def _durations(draw: random.Random) -> list[float]:
    """Draw durations that spread by a quarter around the target of a clip's level."""
    levels = draw.choices([seconds for seconds, _ in _LEVELS], [weight for _, weight in _LEVELS], k=_BATCH)
    return [level * draw.lognormvariate(0.0, 0.25) for level in levels]


if __name__ == "__main__":
    main()
