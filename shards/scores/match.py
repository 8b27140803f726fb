"""How well a text matches a clip: the cosine of their vectors, and its percentile among mismatched pairs.

Cosines of one model can't be compared with those of another, percentiles can: 0.95 means that the clip fits its own
text better than 95 % of mismatched pairs fit. The null distribution of a shard is made from the shard alone, so it
depends neither on other shards nor on the order in which shards are made:

- a pair is a clip and the text of *another video* of the shard;
- of at most `SHUFFLES` clips with a text, all pairs are taken; of more, those of `SHUFFLES` seeded shuffles of the
  texts, without the pairs of one video: about `SHUFFLES` texts for each clip;
- a shard of fewer than `LEAST_VIDEOS` videos, or of fewer than `LEAST_PAIRS` different pairs, has no percentiles.

The percentile is the share of pairs with a smaller cosine plus half the share of those with an equal one, 0 to 1. It
is computed from vectors as they are stored (float16), so that anyone can compute it again.

Shapes: N clips, D numbers of a vector, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MATCH: Final = "match"
PERCENTILE: Final = "match_percentile"
SHUFFLES: Final = 64
LEAST_VIDEOS: Final = 4
LEAST_PAIRS: Final = 100
_SEED: Final = 0

Vectors = NDArray[np.float16] | NDArray[np.float32]
"""Rows [N, D]; a row of NaN where there is none."""


def unit_rows(rows_ND: Vectors) -> NDArray[np.float32]:
    """Return rows of length 1; a row of NaN for one that is not finite or has no direction."""
    wide_ND = rows_ND.astype(np.float32)
    length_N1 = np.linalg.norm(wide_ND, axis=1, keepdims=True)
    usable_N1 = np.isfinite(length_N1) & (length_N1 > 0)
    return np.where(usable_N1, wide_ND / np.where(usable_N1, length_N1, 1), np.float32(np.nan))


def cosines(clip_ND: Vectors, text_ND: Vectors) -> NDArray[np.float32]:
    """Return the cosine of each clip with its text [N], -1 to 1; NaN where a vector is missing."""
    return _row_products(unit_rows(clip_ND), unit_rows(text_ND))


def percentiles(clip_ND: Vectors, text_ND: Vectors, videos: Sequence[str]) -> NDArray[np.float32]:
    """Return the percentile of each clip's match [N], 0 to 1; NaN where a vector is missing, or if there are few pairs.

    Args:
        clip_ND: vectors of the clips of one shard.
        text_ND: vectors of their texts.
        videos: the video of each clip.
    """
    clips_ND, texts_ND = unit_rows(clip_ND), unit_rows(text_ND)
    matches_N = _row_products(clips_ND, texts_ND)
    present_N = np.isfinite(matches_N)
    numbers_N = np.unique(np.asarray(videos, dtype=object).astype(str), return_inverse=True)[1]
    null_P = np.sort(null_cosines(clips_ND[present_N], texts_ND[present_N], numbers_N[present_N]))
    found_N = np.full(len(matches_N), np.nan, np.float32)
    if len(null_P):
        below_n, up_to_n = (null_P.searchsorted(matches_N[present_N], side) for side in ("left", "right"))
        found_N[present_N] = (below_n + up_to_n) / (2 * len(null_P))
    return found_N


def null_cosines(clip_ND: NDArray[np.float32], text_ND: NDArray[np.float32], video_N: NDArray[Any]) -> NDArray[Any]:
    """Return the cosines [P] of mismatched pairs; none if there are too few of them.

    Args:
        clip_ND: unit vectors of clips that have both vectors.
        text_ND: unit vectors of their texts.
        video_N: number of each clip's video.
    """
    count = len(video_N)
    sizes = np.unique(video_N, return_counts=True)[1]
    if len(sizes) < LEAST_VIDEOS or count**2 - int((sizes**2).sum()) < LEAST_PAIRS:
        return np.zeros(0, np.float32)
    if count <= SHUFFLES:
        return (clip_ND @ text_ND.T)[video_N[:, None] != video_N[None, :]]
    random, parts = np.random.default_rng(_SEED), []
    for _ in range(SHUFFLES):
        order_N = random.permutation(count)
        differ_N = video_N != video_N[order_N]
        parts.append(_row_products(clip_ND[differ_N], text_ND[order_N[differ_N]]))
    return np.concatenate(parts)


def _row_products(left_ND: NDArray[np.float32], right_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.einsum("nd,nd->n", left_ND, right_ND)
