"""Match and percentile of the clips of a shard, from the vectors of its rows (`shards.scores.match`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shards.scores.match import MATCH, PERCENTILE, cosines, percentiles
from shards.stored_rows import StoredClip

CLIP: Final = "clip"
TEXT: Final = "text"


def with_match(rows: Sequence[Mapping[str, Any]], clips: Sequence[StoredClip]) -> list[dict[str, Any]]:
    """Return the rows of a shard with `match` and `match_percentile`; None where a vector is missing.

    Args:
        rows: with the vectors `clip` and `text`, or None.
        clips: rows of the shard's media table.
    """
    videos = [clip["video_id"] for clip in clips]
    width = max((len(row[name]) for row in rows for name in (CLIP, TEXT) if row.get(name) is not None), default=0)
    clip_ND, text_ND = (_stored([row.get(name) for row in rows], width) for name in (CLIP, TEXT))
    found = {MATCH: cosines(clip_ND, text_ND), PERCENTILE: percentiles(clip_ND, text_ND, videos)}
    return [
        {
            **row,
            **{name: float(values_N[at]) if np.isfinite(values_N[at]) else None for name, values_N in found.items()},
        }
        for at, row in enumerate(rows)
    ]


def _stored(vectors: Sequence[NDArray[np.float32] | None], width: int) -> NDArray[np.float16]:
    """Return vectors as they will be stored [N, D]; a row of NaN for None."""
    rows_ND = np.full((len(vectors), width), np.nan, np.float16)
    for row_D, vector in zip(rows_ND, vectors, strict=True):
        if vector is not None:
            row_D[:] = vector  # a failure is a single NaN, and fills the row
    return rows_ND
