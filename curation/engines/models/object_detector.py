"""The engine that finds objects in pictures: any model of transformers' object-detection pipeline, by its URI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curation.engines.engine_interface import DetectedObject, Detection, ImageRef
from curation.engines.engine_settings import EngineSettings, EngineTask
from curation.engines.request_images import UnreadableImage, load
from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.models.model_uri import resolve
from runtime.settings import Runtime

if TYPE_CHECKING:
    from PIL import Image


class DetectorSettings(EngineSettings):
    """An object detector in this process."""

    kind: Literal["detector"] = "detector"
    """Kind of engine: `detector` finds objects and answers no prompts."""
    model: str
    """Model URI of a detector that transformers can load (`hf://org/name[@revision]`, `path:///folder`)."""
    least_score: float = Field(default=0.3, ge=0, lt=1)
    """Score from which the model names an object at all."""
    device: Runtime[str] = "cpu"
    """Device of the network: `cpu`, `cuda`."""
    batch: Runtime[int] = Field(default=8, ge=1)
    """Pictures in one forward pass."""

    @property
    def local_model(self) -> str:
        """URI of the model."""
        return self.model

    @property
    def programs(self) -> tuple[str, ...]:
        """The two libraries that the model runs in."""
        return ("transformers", "torch")

    @property
    def does(self) -> EngineTask:
        """It finds objects."""
        return "finds objects"


class ObjectDetector:
    """A loaded detector; an `curation.engines.engine_interface.ObjectEngine`."""

    def __init__(self, settings: DetectorSettings) -> None:
        """Load the network.

        Raises:
            UserError: no such model, or none that finds objects.
        """
        from transformers import pipeline

        self._settings = settings
        folder = resolve(settings.model).path
        try:
            self._find: Any = pipeline(
                "object-detection", model=folder, device=settings.device, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            if is_machine_fault(error):
                raise
            reason = one_line(error)
            raise UserError(f"model={settings.model!r}: transformers finds no objects with it ({reason})") from None

    def detect(self, images: Mapping[str, ImageRef]) -> dict[str, Detection]:
        """Find the objects in each image; the result has exactly the same keys. Call it in a thread.

        Raises:
            MachineError: memory is exhausted, or a file may not be read.
        """
        results: dict[str, Detection] = {}
        pictures: dict[str, Image.Image] = {}
        for key, image in images.items():
            try:
                pictures[key] = load(image)
            except UnreadableImage as error:
                results[key] = Detection(error=str(error))
            if len(pictures) == self._settings.batch:
                results |= self._detect(pictures)
                pictures = {}
        results |= self._detect(pictures) if pictures else {}
        return {key: results[key] for key in images}

    def close(self) -> None:
        """Release the network."""
        self._find = None

    def _detect(self, pictures: Mapping[str, Image.Image]) -> dict[str, Detection]:
        try:
            found = self._find(list(pictures.values()), threshold=self._settings.least_score)
        except (RuntimeError, ValueError) as error:
            if is_machine_fault(error) or "out of memory" in str(error):
                raise MachineError(f"object detector: {one_line(error)}") from error
            return {key: Detection(error=one_line(error)) for key in pictures}
        return {
            key: Detection(tuple(_object(each, picture) for each in objects))
            for (key, picture), objects in zip(pictures.items(), found, strict=True)
        }


def _object(found: Mapping[str, Any], picture: Image.Image) -> DetectedObject:
    box = found["box"]
    width = min(box["xmax"], picture.width) - max(box["xmin"], 0)
    height = min(box["ymax"], picture.height) - max(box["ymin"], 0)
    share = max(width, 0) * max(height, 0) / (picture.width * picture.height)
    return DetectedObject(str(found["label"]), float(found["score"]), share)
