"""Stored roots made frame by frame, and the scores of their clips, for tests that know the values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from curation.scores.root_scores import NamedScorer, score_root
from curation.scores.score_registry import SCORE_KINDS
from curation.scores.scorer import ScoreKind, Scorer
from shards.stored_rows import StoredClip, StoredText, StoredWord

FPS, GOP = 8, 8
WIDTH, HEIGHT = 320, 180
Picture = NDArray[np.uint8]


def video_of(frames: Sequence[Picture], crf: int = 12) -> bytes:
    """Encode frames, uint8 [H, W] or [H, W, 3], as the media stage stores them."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "root.mp4"
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
            x264 = f"keyint={GOP}:scenecut=0:bframes=0"
            options = {"preset": "veryfast", "tune": "fastdecode", "crf": str(crf), "x264-params": x264}
            stream = container.add_stream("libx264", rate=FPS, options=options)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt, stream.gop_size = "yuv420p", GOP
            for picture in frames:
                rgb = np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")))
            container.mux(stream.encode(None))
        return path.read_bytes()


def flat(luma: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """Return a picture of one brightness."""
    return np.full((height, width), luma, np.uint8)


def texture(width: int = WIDTH, height: int = HEIGHT, seed: int = 0, blob: int = 6) -> Picture:
    """Return a picture of soft random blobs of so many pixels: something that optical flow can follow everywhere."""
    import cv2

    noise = np.random.default_rng(seed).integers(0, 256, (height // blob, width // blob), np.uint8)
    large: Picture = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return large


def clip_row(start: float = 0.0, end: float = 4.0, *, parent: str | None = None, **changes: Any) -> StoredClip:
    """Return the row of a clip whose root begins at second 0 of the video and of its stored frames."""
    key = f"clip_{start:g}_{end:g}"
    values: dict[str, Any] = {
        "key": key,
        "root_key": parent or key,
        "parent_key": parent,
        "start": start,
        "end": end,
        "offset": start,
        "subtitle": "",
        "language": None,
        "speech_seconds": 0.0,
        "words": None if parent else [],
        "motion": None,
    }
    return StoredClip(**values | changes)  # type: ignore[typeddict-item]


def words_of(text: str, start: float, end: float) -> list[StoredWord]:
    """Return the words of a text, evenly spread over a span."""
    words = text.split()
    step = (end - start) / max(len(words), 1)
    return [
        StoredWord(start=start + at * step, end=start + (at + 0.8) * step, text=word) for at, word in enumerate(words)
    ]


def kind_of(name: str) -> ScoreKind:
    """Return a registered score."""
    return next(kind for kind in SCORE_KINDS if kind.name == name)


def named(name: str, scorer: Scorer[Any] | None = None, **settings: Any) -> NamedScorer:
    """Return a registered score as the stage runs it; `scorer` replaces its scorer."""
    kind = kind_of(name)
    values = kind.settings(**settings)
    return NamedScorer(name, kind.columns(values), scorer or kind.build(values))


def scores_of(
    scorers: NamedScorer | Sequence[NamedScorer],
    video: bytes | Sequence[Picture] = b"",
    clips: Sequence[StoredClip] | None = None,
    texts: dict[str, StoredText] | None = None,
    counts: Counter[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the scores of a root's clips; by default of the root alone, as long as the frames."""
    data = video if isinstance(video, bytes) else video_of(video)
    seconds = 4.0 if isinstance(video, bytes) else len(video) / FPS
    rows = [clip_row(0, seconds)] if clips is None else clips
    each = [scorers] if isinstance(scorers, NamedScorer) else scorers
    return score_root(each, rows, texts or {}, lambda: data, Counter() if counts is None else counts)
