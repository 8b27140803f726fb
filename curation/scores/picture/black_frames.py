"""Black frames: the share of a clip's frames that are black, as ffmpeg's ``blackdetect`` decides by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from pydantic import Field

from curation.scores.root_frames import Frame
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value, share_of
from runtime.settings import Settings


class BlackFramesSettings(Settings):
    """The score of black frames."""

    frames_per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames to look at; up to 1 only keyframes are decoded."""
    black_pixel: float = Field(default=0.1, ge=0, le=1)
    """Luma (0 to 1) up to which a pixel is black."""
    black_share: float = Field(default=0.98, gt=0, le=1)
    """Share of black pixels from which a frame is black."""


class BlackFramesScorer(Scorer[bool]):
    """Decides which frames are black."""

    def __init__(self, settings: BlackFramesSettings) -> None:
        self.sampling = Sampling(settings.frames_per_second)
        self._settings = settings

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[bool]:
        """Return True for each frame that is black."""
        return [self._is_black(frame) for frame in frames]

    def score(self, clip: ScoredClip[bool]) -> Mapping[str, Value]:
        """Return the share of black frames."""
        return {"black_frames": share_of([value for _, value in clip.measures])}

    def _is_black(self, frame: Frame) -> bool:
        luma = frame.small_luma()
        black = np.count_nonzero(luma <= 255 * self._settings.black_pixel)
        return bool(black >= self._settings.black_share * luma.size)


BLACK_FRAMES: Final = ScoreKind(
    name="black_frames",
    summary="Share of frames that are black.",
    settings=BlackFramesSettings,
    columns=lambda settings: [ScoreColumn("black_frames", "share of frames that are black", low=0, high=1)],
    build=BlackFramesScorer,
)
