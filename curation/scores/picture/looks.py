"""Looks: how much people like the look of a clip's frames, by a linear head over an image–text model.

The predictors of LAION have this form: version 1 is one linear layer over CLIP's vectors, version 2 is a chain of
linear layers without anything between them, which is one linear map as well. Neither is in a package, so both models
are named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curation.scores.root_frames import Frame
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value, mean_of
from runtime.errors import UserError, one_line
from runtime.models.model_uri import resolve
from runtime.settings import Runtime, Settings

if TYPE_CHECKING:
    from curation.engines.models.image_text_model import ImageTextModel


class LooksSettings(Settings):
    """The score of looks; it needs two models."""

    tower: str | None = None
    """Model URI of a folder with the image–text model of open_clip that the head was trained over."""
    head: str | None = None
    """Model URI of a file of linear layers (safetensors or torch) from the tower's vectors to one number."""
    frames_per_second: float = Field(default=0.2, gt=0, le=60)
    """Frames to look at, at least one a root; up to 1 only keyframes are decoded."""
    batch: Runtime[int] = Field(default=16, ge=1)
    """Frames in one forward pass."""
    device: Runtime[str] = "cpu"
    """Device of the tower: `cpu`, `cuda`."""


class LinearHead:
    """One affine map, into which a chain of linear layers is multiplied.

    Args:
        layers: weights [out, in] and biases [out] in order; the last has one output.
    """

    def __init__(self, layers: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
        weight_D, bias = np.eye(layers[0][0].shape[1]), np.zeros(layers[0][0].shape[1])
        for weight, own in layers:
            weight_D, bias = weight @ weight_D, weight @ bias + own
        if weight_D.shape[0] != 1:
            raise ValueError(f"its last layer has {weight_D.shape[0]} outputs, not one")
        self._weight_D, self._bias = weight_D[0], float(bias[0])

    @property
    def width(self) -> int:
        """Numbers of a vector that it takes."""
        return len(self._weight_D)

    def of(self, vectors_BD: NDArray[np.float32]) -> list[float]:
        """Return the number for each vector."""
        numbers: list[float] = (vectors_BD.astype(np.float64) @ self._weight_D + self._bias).tolist()
        return numbers


class LooksScorer(Scorer[float]):
    """Asks tower and head about frames."""

    def __init__(self, settings: LooksSettings) -> None:
        """Load both models.

        Raises:
            UserError: one of them is not there, or they do not fit each other.
        """
        from curation.engines.models.image_text_model import ImageTextModel

        assert settings.tower is not None and settings.head is not None, "checked before the run"
        self.sampling = Sampling(settings.frames_per_second)
        self._batch = settings.batch
        self._head = load_head(settings.head)
        self._tower: ImageTextModel = ImageTextModel(settings.tower, settings.device)
        if self._head.width != self._tower.width:
            raise UserError(
                f"score.looks.head={settings.head!r}: takes vectors of {self._head.width} numbers, "
                f"score.looks.tower={settings.tower!r} gives {self._tower.width}; name the tower it was trained over"
            )

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[float]:
        """Return the number for each frame."""
        found: list[float] = []
        for first in range(0, len(frames), self._batch):
            found += self._head.of(self._tower.pictures([frame.image for frame in frames[first : first + self._batch]]))
        return found

    def score(self, clip: ScoredClip[float]) -> Mapping[str, Value]:
        """Return the mean over the clip's frames."""
        return {"looks": mean_of([value for _, value in clip.measures])}


def load_head(uri: str) -> LinearHead:
    """Read a chain of linear layers from a file.

    Raises:
        UserError: the file holds something else.
    """
    try:
        tensors = _tensors(resolve(uri).path)
        names = [name.removesuffix("weight") for name in tensors if name.endswith("weight")]
        layers = [(tensors[f"{name}weight"], tensors[f"{name}bias"]) for name in sorted(names, key=_place)]
        if not layers:
            raise ValueError("it holds no layer with a weight and a bias")
        return LinearHead(layers)
    except UserError:
        raise
    except Exception as error:  # unpickling an unknown file may raise anything
        raise UserError(f"score.looks.head={uri!r}: no chain of linear layers ({one_line(error)})") from None


def _tensors(path: str | Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    file = Path(path)
    tensors = (
        load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True, map_location="cpu")
    )
    return {name: tensor.double().numpy() for name, tensor in tensors.items()}


def _place(name: str) -> tuple[int, ...]:
    """Return the numbers in a layer's name (``layers.2.``), in whose order layers are applied."""
    return tuple(int(part) for part in name.split(".") if part.isdecimal())


def _check(settings: LooksSettings) -> None:
    for name in ("tower", "head"):
        if getattr(settings, name) is None:
            raise ValueError(f"score.looks.{name}: must be set for the score looks; name a model URI")


LOOKS: Final = ScoreKind(
    name="looks",
    summary="How much people like the look of the frames, by a linear head over an image–text model.",
    settings=LooksSettings,
    columns=lambda settings: [ScoreColumn("looks", "mean over frames, on the head's scale (LAION's: 1 to 10)")],
    build=LooksScorer,
    models=lambda settings: {name: uri for name in ("tower", "head") if (uri := getattr(settings, name)) is not None},
    check=_check,
    programs=("open_clip_torch", "torch"),
)
