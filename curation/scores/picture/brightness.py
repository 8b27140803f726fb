"""Brightness: the mean luma of a clip's frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import Field

from curation.scores.root_frames import Frame
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value, mean_of
from runtime.settings import Settings


class BrightnessSettings(Settings):
    """The score of brightness."""

    frames_per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames to look at; up to 1 only keyframes are decoded."""


class BrightnessScorer(Scorer[float]):
    """Means the luma of frames; black is 0, white is 1."""

    def __init__(self, settings: BrightnessSettings) -> None:
        self.sampling = Sampling(settings.frames_per_second)

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[float]:
        """Return the mean luma of each frame, 0 to 1."""
        return [float(frame.luma.mean()) / 255 for frame in frames]

    def score(self, clip: ScoredClip[float]) -> Mapping[str, Value]:
        """Return the mean over the clip's frames."""
        return {"brightness": mean_of([value for _, value in clip.measures])}


BRIGHTNESS: Final = ScoreKind(
    name="brightness",
    summary="Mean luma of the frames.",
    settings=BrightnessSettings,
    columns=lambda settings: [ScoreColumn("brightness", "mean luma: 0 is black, 1 is white", low=0, high=1)],
    build=BrightnessScorer,
)
