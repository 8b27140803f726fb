"""Blur: the variance of the Laplacian of a clip's frames.

The measure is that of Pech-Pacheco et al., *Diatom autofocusing in brightfield microscopy* (ICPR 2000). It falls with
blur and also with contrast: a plain wall is not sharp either, so compare like with like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from pydantic import Field

from curation.scores.root_frames import Frame, Luma
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value
from runtime.settings import Settings


class BlurSettings(Settings):
    """The score of blur."""

    frames_per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames to look at; up to 1 only keyframes are decoded."""
    short_side: int = Field(default=256, ge=32, le=1024)
    """Pixels to which the short side of a larger frame is scaled down first."""


class BlurScorer(Scorer[float]):
    """Measures the sharpness of frames."""

    def __init__(self, settings: BlurSettings) -> None:
        self.sampling = Sampling(settings.frames_per_second)
        self._short_side = settings.short_side

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[float]:
        """Return the variance of the Laplacian of each frame."""
        return [laplacian_variance(frame.small_luma(self._short_side)) for frame in frames]

    def score(self, clip: ScoredClip[float]) -> Mapping[str, Value]:
        """Return the median over the clip's frames: a few blurred frames of a pan do not count."""
        return {"sharpness": median(value for _, value in clip.measures) if clip.measures else None}


def laplacian_variance(luma: Luma) -> float:
    """Return the variance of the Laplacian (4 neighbours) of a picture."""
    import cv2

    _, deviation = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


BLUR: Final = ScoreKind(
    name="blur",
    summary="Sharpness of the frames: the variance of the Laplacian.",
    settings=BlurSettings,
    columns=lambda settings: [
        ScoreColumn("sharpness", "median variance of the Laplacian (luma 0 to 255); below about 50 is blurred", low=0)
    ],
    build=BlurScorer,
    programs=("opencv-python-headless",),
)
