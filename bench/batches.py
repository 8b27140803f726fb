"""Different videos in the batches of a simulated plan: shards of 64 videos whose lengths differ much.

    python -m bench.batches

It plans one window of an epoch at 4,096 clips a batch, as `training.data.sources.window_order` does, and reads nothing.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from training.data.order.epoch_order import round_robin, shards_a_window, spread

_BATCH, _VIDEOS_A_SHARD, _SHARDS = 4096, 64, 312_500


def main() -> None:
    """Print a Markdown table: one row for each plan."""
    print("| plan | shards in a window | different videos in a batch: median, fewest | most roots of one video |")
    print("|---|---|---|---|")
    for clips_per_root, batches in ((2, 0.0), (2, 4.0), (1, 4.0)):
        roots = _BATCH // clips_per_root
        shards = shards_a_window([_VIDEOS_A_SHARD] * _SHARDS, roots, batches, least=8)
        videos = _roots_of_videos(shards * _VIDEOS_A_SHARD)
        order = (spread if batches else round_robin)(videos.tolist(), 0, 0, 0)
        taken = [videos[order[begin : begin + roots]] for begin in range(0, len(order) - roots + 1, roots)]
        distinct = [len(set(batch.tolist())) for batch in taken]
        most = max(max(Counter(batch.tolist()).values()) for batch in taken)
        name = f"window_batches={batches:g}, clips_per_root={clips_per_root}"
        print(f"| {name} | {shards} | {np.median(distinct):,.0f}, {min(distinct):,} | {most} |")


def _roots_of_videos(videos: int) -> NDArray[np.str_]:
    """Return the video of each root, in order; a video has about six roots in the mean, and some have a hundred."""
    lengths = np.ceil(np.random.default_rng(0).lognormal(1.2, 1.0, size=videos)).astype(int)
    return np.repeat(np.arange(videos), lengths).astype(str)


if __name__ == "__main__":
    main()
