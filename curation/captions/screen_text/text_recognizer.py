"""The text recogniser: RapidOCR (PP-OCR on onnxruntime), whose models come in its own package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curation.engines.request_images import UnreadableImage
from curation.prompts.wording import tidy
from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.models.model_uri import resolve

if TYPE_CHECKING:
    from PIL import Image

_DETECTOR, _RECOGNIZER = "*_det_*.onnx", "*_rec_*.onnx"
_LEAST_PIXELS: Final = 8
"""Height of a picture that can hold letters."""
_LONGEST_RATIO: Final = 4
"""Ratio of sides up to which a picture is read as it is."""


@dataclass(frozen=True)
class TextLine:
    """One line of text in a picture."""

    text: str
    confidence: float
    """0 to 1."""
    left: float
    top: float
    right: float
    bottom: float
    """Box around the line, as shares of the picture's width and height."""

    @property
    def share(self) -> float:
        """Share of the picture that the line covers."""
        return (self.right - self.left) * (self.bottom - self.top)


class TextRecognizer:
    """Loaded models that find and read the lines of text in a picture."""

    def __init__(self, model: str, threads: int, short_side: int | None = None) -> None:
        """Load the models.

        Args:
            model: URI of a folder with one ``*_det_*.onnx`` and one ``*_rec_*.onnx`` of PP-OCR.
            threads: of one picture.
            short_side: pixels to which a smaller picture is enlarged before text is looked for; None: RapidOCR's
                own, which is slower and finds smaller letters.

        Raises:
            UserError: no such model, or the folder holds other files.
        """
        from rapidocr import RapidOCR

        folder = Path(resolve(model).path)
        files = {"Det.model_path": _only(folder, _DETECTOR, model), "Rec.model_path": _only(folder, _RECOGNIZER, model)}
        options: dict[str, object] = {"Global.use_cls": False, "Global.log_level": "error", "Global.text_score": 0.0}
        if short_side is not None:
            options |= {"Det.limit_side_len": short_side, "Det.limit_type": "min"}
        threading = {"EngineConfig.onnxruntime.intra_op_num_threads": threads}
        try:
            self._read = RapidOCR(params=files | options | threading)
            self._read(_blank())  # models are opened at the first picture
        except Exception as error:  # onnxruntime's own exceptions have no common base
            reason = one_line(error)
            raise UserError(f"on_screen_text.model={model!r}: not models of PP-OCR ({reason})") from None

    def lines(self, picture: Image.Image) -> list[TextLine]:
        """Return the lines of text in a picture, from top to bottom.

        Raises:
            UnreadableImage: the networks fail on it.
            MachineError: memory is exhausted.
        """
        import numpy as np

        if min(picture.size) < _LEAST_PIXELS:
            return []
        picture = _within_ratio(picture)
        try:
            found: Any = self._read(np.asarray(picture)[:, :, ::-1])  # RapidOCR takes BGR
        except Exception as error:  # OpenCV's and onnxruntime's own exceptions have no common base
            if is_machine_fault(error):
                raise MachineError(f"on-screen text: {one_line(error)}") from error
            raise UnreadableImage(one_line(error)) from error
        if not len(found):
            return []
        size = np.array([picture.width, picture.height])
        lines = zip(found.boxes, found.txts, found.scores, strict=True)
        return [line for corners, text, score in lines if (line := _line(corners / size, text, float(score)))]


def _within_ratio(picture: Image.Image) -> Image.Image:
    """Return a narrow strip with a margin: RapidOCR enlarges the short side, whatever becomes of the long one."""
    from PIL import Image

    least = max(picture.size) // _LONGEST_RATIO
    if min(picture.size) >= least:
        return picture
    wider = Image.new("RGB", (max(picture.width, least), max(picture.height, least)))
    wider.paste(picture)
    return wider


def _line(corners: Any, text: str, confidence: float) -> TextLine | None:
    words = tidy(text)
    (left, top), (right, bottom) = corners.min(axis=0).clip(0, 1), corners.max(axis=0).clip(0, 1)
    return TextLine(words, confidence, float(left), float(top), float(right), float(bottom)) if words else None


def _only(folder: Path, pattern: str, model: str) -> str:
    files: Sequence[Path] = sorted(folder.glob(pattern)) if folder.is_dir() else ()
    if len(files) != 1:
        raise UserError(f"on_screen_text.model={model!r}: must name a folder with one {pattern}; it has {len(files)}")
    return str(files[0])


def _blank() -> Any:
    import numpy as np

    return np.zeros((64, 64, 3), np.uint8)
