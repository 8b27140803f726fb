"""All scores of pictures on videos of odd sizes, lengths and pixels: no crash, no failure, values in their bounds."""

from __future__ import annotations

import io
import math
from collections import Counter

import av
import numpy as np
import pytest
from support.scored_videos import clip_row, named, scores_of, texture, video_of

from curation.scores.score_registry import SCORE_KINDS
from curation.scores.scorer import ScoreColumn

NAMES = [kind.name for kind in SCORE_KINDS if kind.name not in ("embedding", "looks")]


@pytest.fixture(scope="module")
def scorers() -> list[object]:
    return [named(name) for name in NAMES]


@pytest.mark.parametrize(
    ("width", "height", "frames"),
    [(2, 2, 24), (16, 16, 24), (640, 16, 24), (16, 640, 24), (40, 500, 24), (64, 48, 1), (64, 48, 2), (1280, 720, 3)],
)
def test_odd_sizes_and_lengths_have_values_within_their_bounds(
    scorers: list[object], width: int, height: int, frames: int
) -> None:
    pictures = [texture(width, height, seed=at // 8, blob=2) for at in range(frames)]
    counts: Counter[str] = Counter()
    rows = scores_of(scorers, video_of(pictures), [clip_row(0, frames / 8)], counts=counts)  # type: ignore[arg-type]
    assert not +counts
    for column in (column for kind in SCORE_KINDS if kind.name in NAMES for column in kind.columns(kind.settings())):
        assert isinstance(column, ScoreColumn)
        value = rows[0][column.name]
        if isinstance(value, float):
            assert (-math.inf if column.low is None else column.low) <= value
            assert value <= (math.inf if column.high is None else column.high)


@pytest.mark.parametrize("pixels", ["yuv444p", "yuvj420p", "gray", "rgb24"])
def test_other_pixel_formats_have_about_the_same_brightness(pixels: str) -> None:
    buffer = io.BytesIO()
    codec = "mjpeg" if pixels == "yuvj420p" else "libx264rgb" if pixels == "rgb24" else "libx264"
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for _ in range(9):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 120, np.uint8), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    (row,) = scores_of(named("brightness"), buffer.getvalue(), [clip_row(0, 1)])
    assert row["brightness"] == pytest.approx(120 / 255, abs=0.03)
