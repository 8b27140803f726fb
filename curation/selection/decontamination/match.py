"""A match of clips and an item of a benchmark, and the rows of ``contamination/<name>.parquet``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.selection.deduplication.clip_list import ClipList
from shards.schema import CONTAMINATION

MatchKind = Literal["id", "perceptual", "semantic", "caption"]
MATCH_KINDS: Final[tuple[MatchKind, ...]] = ("id", "perceptual", "semantic", "caption")


class Match(NamedTuple):
    """Clips that match one item."""

    clips: NDArray[np.int64]
    """Numbers of the clips."""
    item: str
    """Id of the item."""
    kind: MatchKind
    score: float | None
    """0 to 1; None for an id."""
    reason: str
    """One line for people."""


def contamination_rows(clips: ClipList, benchmark: str, matches: Iterable[Match]) -> pa.Table:
    """Return a row for each clip, item and kind, the best match of each, in the order of clips."""
    best: dict[tuple[int, str, MatchKind], Match] = {}
    for match in matches:
        for clip in match.clips.tolist():
            place = (clip, match.item, match.kind)
            if place not in best or (match.score or 0) > (best[place].score or 0):
                best[place] = match
    order = sorted(best, key=lambda place: (place[0], MATCH_KINDS.index(place[2]), place[1]))
    numbers = pa.array([clip for clip, _, _ in order], pa.int64())
    columns = {
        "key": clips.table["key"].take(numbers),
        "shard": clips.table["shard"].take(numbers),
        "benchmark": pa.array([benchmark] * len(order), pa.string()),
        "benchmark_id": pa.array([item for _, item, _ in order], pa.string()),
        "kind": pa.array([kind for _, _, kind in order], pa.string()),
        "score": pa.array([best[place].score for place in order], pa.float32()),
        "reason": pa.array([best[place].reason for place in order], pa.string()),
    }
    return pa.table(columns).cast(CONTAMINATION)


def match_counts(rows: pa.Table) -> dict[str, float]:
    """Return the figures of a table: clips, items, and both for each kind."""
    kinds, items = rows["kind"].cast(pa.string()).to_pylist(), rows["benchmark_id"].to_pylist()
    counts: Counter[str] = Counter()
    for kind, _ in set(zip(kinds, items, strict=True)):
        counts[f"items:{kind}"] += 1
    for kind, _ in set(zip(kinds, rows["key"].to_pylist(), strict=True)):
        counts[f"clips:{kind}"] += 1
    return {"clips": len(set(rows["key"].to_pylist())), "items": len(set(items)), **counts}
