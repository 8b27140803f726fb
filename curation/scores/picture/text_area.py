"""Text area: how much of the picture text covers, and how often, as read by RapidOCR.

A line counts if the recogniser is sure of what it says: patterns are detected as text, and are not read surely. A frame
that hardly differs from the one read before has its lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curation.captions.screen_text.text_recognizer import TextLine, TextRecognizer
from curation.scores.root_frames import Frame
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value, mean_of, share_of
from runtime.settings import Runtime, Settings

PP_OCR: Final = (
    "pypi://rapidocr==3.10.0/rapidocr/models/*.onnx"
    "#sha256=2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050"
)
_SAME: Final = 1.0
"""Mean difference of luma (0 to 255) up to which two frames show the same text."""
_CELLS: Final = 100
"""Cells of the grid, a side, in which lines of several frames are laid over each other."""
_STAYS: Final = 0.9
"""Share of frames in which a cell must be covered to be still."""
_LEAST_FRAMES: Final = 3


class TextAreaSettings(Settings):
    """The score of text in the picture."""

    model: str = PP_OCR
    """URI of a folder with the two networks of PP-OCR."""
    frames_per_second: float = Field(default=0.2, gt=0, le=60)
    """Frames to read, at least one a root; up to 1 only keyframes are decoded."""
    threshold: float = Field(default=0.9, gt=0, lt=1)
    """Lines with less confidence are left out."""
    short_side: int = Field(default=320, ge=128, le=2048)
    """Pixels to which the short side of a frame is enlarged, so that small letters are found."""
    threads: Runtime[int] = Field(default=1, ge=1)
    """Threads that read one frame."""


class TextAreaScorer(Scorer[Sequence[TextLine]]):
    """Reads frames."""

    def __init__(self, settings: TextAreaSettings) -> None:
        """Load the networks.

        Raises:
            UserError: no such model.
        """
        self.sampling = Sampling(settings.frames_per_second)
        self._threshold = settings.threshold
        self._recognizer = TextRecognizer(settings.model, settings.threads, settings.short_side)

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[Sequence[TextLine]]:
        """Return the lines of each frame that are read surely."""
        found: list[Sequence[TextLine]] = []
        last: Frame | None = None
        for frame in frames:
            found.append(found[-1] if last is not None and _alike(last, frame) else self._lines(frame))
            last = frame
        return found

    def score(self, clip: ScoredClip[Sequence[TextLine]]) -> Mapping[str, Value]:
        """Return the share of the area, of the frames, and of the area that text covers all the time."""
        frames = [value for _, value in clip.measures]
        areas = [min(sum(line.share for line in lines), 1.0) for lines in frames]
        still = np.mean([_cells(lines) for lines in frames], axis=0) >= _STAYS if len(frames) >= _LEAST_FRAMES else None
        return {
            "text_area": mean_of(areas),
            "text_time": share_of([bool(lines) for lines in frames]),
            "still_text_area": None if still is None else float(still.mean()),
        }

    def _lines(self, frame: Frame) -> list[TextLine]:
        return [line for line in self._recognizer.lines(frame.image) if line.confidence >= self._threshold]


def _alike(one: Frame, other: Frame) -> bool:
    import cv2

    first, second = one.small_luma(), other.small_luma()
    return first.shape == second.shape and float(cv2.absdiff(first, second).mean()) <= _SAME


def _cells(lines: Sequence[TextLine]) -> NDArray[np.bool_]:
    """Return the cells of a grid over the picture that lines cover."""
    cells = np.zeros((_CELLS, _CELLS), bool)
    for line in lines:
        top, bottom, left, right = (round(edge * _CELLS) for edge in (line.top, line.bottom, line.left, line.right))
        cells[top:bottom, left:right] = True
    return cells


TEXT_AREA: Final = ScoreKind(
    name="text_area",
    summary="Share of the picture and of the time that text covers, by OCR.",
    settings=TextAreaSettings,
    columns=lambda settings: [
        ScoreColumn("text_area", "mean share of the picture's area that text covers", low=0, high=1),
        ScoreColumn("text_time", "share of frames with text", low=0, high=1),
        ScoreColumn("still_text_area", "share with text in all frames; null with fewer than 3", low=0, high=1),
    ],
    build=TextAreaScorer,
    models=lambda settings: {"model": settings.model},
    programs=("rapidocr", "onnxruntime"),
)
