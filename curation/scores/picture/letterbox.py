"""Letterbox: the share of the picture that black bars cover, at any edge, throughout a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import Field

from curation.scores.picture.content_box import ContentBox, common_box, content_box
from curation.scores.root_frames import Frame
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value
from runtime.settings import Settings


class LetterboxSettings(Settings):
    """The score of black bars."""

    frames_per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames to look at; up to 1 only keyframes are decoded."""


class LetterboxScorer(Scorer[ContentBox | None]):
    """Measures where the picture is within black bars."""

    def __init__(self, settings: LetterboxSettings) -> None:
        self.sampling = Sampling(settings.frames_per_second)

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[ContentBox | None]:
        """Return the box of the picture within each frame; None for a frame that is black."""
        return [content_box(frame.small_luma()) for frame in frames]

    def score(self, clip: ScoredClip[ContentBox | None]) -> Mapping[str, Value]:
        """Return the share that no frame's picture reaches; None for a clip that is all black."""
        box = common_box([value for _, value in clip.measures])
        return {"letterbox": None if box is None else 1 - box.area}


LETTERBOX: Final = ScoreKind(
    name="letterbox",
    summary="Share of the picture that black bars cover.",
    settings=LetterboxSettings,
    columns=lambda settings: [
        ScoreColumn("letterbox", "share of the picture's area that is black bars in all frames", low=0, high=1)
    ],
    build=LetterboxScorer,
)
