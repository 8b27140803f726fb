"""Facts about runs whose clips differ in their number of frames: for the log, and for the folder of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from training.data.clip_batch import ClipBatch
from training.data.data_settings import DataSettings
from training.data.order.frame_buckets import FrameBuckets
from training.engine.parallel.distributed import Ranks, sum_over

RATE: Final = "frames_per_second"
COUNTS: Final = "frame_buckets"


def length_facts(data: DataSettings) -> dict[str, Any]:
    """Return the record of a model that was trained with frames by duration; empty if it was not."""
    buckets = FrameBuckets.of(data)
    return {} if buckets is None else {RATE: buckets.rate, COUNTS: list(buckets.counts)}


def recorded_buckets(extra: Mapping[str, Any]) -> FrameBuckets | None:
    """Return the frames by duration of a model's record (`length_facts`); None: it was trained with one number."""
    rate, counts = extra.get(RATE), extra.get(COUNTS)
    return FrameBuckets(float(rate), tuple(counts)) if rate and counts else None


def bucket_facts(batch: ClipBatch, counts: Sequence[int], ranks: Ranks) -> dict[str, float]:
    """Return facts about the decoded clips of the global batch; collective.

    Args:
        batch: this rank's share.
        counts: the numbers of frames that clips may have; empty: all have the same, and nothing is reported.
        ranks: the processes that hold the other rows.

    Returns:
        `frames`: mean frames of a clip; `bucket_8/clips` and `bucket_8/seconds`: clips with 8 frames, and the video
        that they cover (clips of unknown duration left out); and so on for the other counts.
    """
    if not counts:
        return {}
    seconds_B = (batch.span_B2[:, 1] - batch.span_B2[:, 0]).nan_to_num(posinf=0.0)
    chosen = [(batch.length_B == count) & (batch.weight_B > 0) for count in counts]
    rows = torch.stack([torch.stack((chosen_B.sum(), seconds_B[chosen_B].sum())) for chosen_B in chosen])
    sums = sum_over(rows.to(ranks.device), ranks).tolist()
    clips = sum(clips for clips, _ in sums)
    facts = {"frames": sum(count * clips for count, (clips, _) in zip(counts, sums, strict=True)) / max(1.0, clips)}
    for count, (clips, seconds) in zip(counts, sums, strict=True):
        facts |= {f"bucket_{count}/clips": clips, f"bucket_{count}/seconds": seconds}
    return facts
