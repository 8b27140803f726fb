"""Open the model to evaluate: from the value of `--checkpoint` to weights on a device.

A new library of models is one line of `_LIBRARIES`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import torch

from runtime.errors import UserError
from runtime.settings import build
from training.evaluation.video.models.video_text_model import VideoTextModel
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import VidLA
from training.models.vidla.vidla_folder import CONFIG, load


def open_model(
    checkpoint: str, frames: int | None, device: torch.device, *, without_time: bool = False
) -> tuple[VideoTextModel, int]:
    """Open a trained model, initial weights as a zero-shot baseline, or a model of another library.

    Args:
        checkpoint: folder of an export (`RUN/best`); a value of `train-vidla --init`: `openai`, `ViT-B-16:openai`,
            `path:///folder`, `random:tiny`; `open_clip:` and such a value: the image model itself; or `transformers:`
            and a folder or model URI.
        frames: frames per clip; None: as many as the model was trained with, 12 for models of single images.
        device: device of the model.
        without_time: build initial weights without [MST], which are random there, so that the model is plain CLIP.

    Returns:
        The model in evaluation mode, and the frames per clip; temporal position embeddings are interpolated to them.

    Raises:
        UserError: no such folder or weights, frames that the model can't take, or `without_time` for a trained model
            that has [MST].
    """
    library, colon, name = checkpoint.partition(":")
    if colon and library in _LIBRARIES:
        return _LIBRARIES[library](name, frames, device)
    model = _open(checkpoint, without_time).to(device).eval()
    chosen = model.video.frames if frames is None else frames
    return model, chosen


def weights_hash(model: VideoTextModel) -> str:
    """Return the SHA-256 over names, types, shapes and values of the weights: equal hashes mean equal models."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _open(checkpoint: str, without_time: bool) -> VidLA:
    folder = Path(checkpoint)
    if folder.is_dir():
        model = _export(folder)
        if without_time and model.video.settings.levels:
            raise UserError(f"--frame-mean: {folder} was trained with [MST]; it is for initial weights (openai)")
        return model
    if "/" in checkpoint and "://" not in checkpoint and not checkpoint.startswith("random:"):
        raise UserError(f"--checkpoint {checkpoint}: there is no such folder")
    settings = {"init": checkpoint} | ({"temporal": {"levels": 0}} if without_time else {})
    torch.manual_seed(0)  # weights that CLIP lacks are random, but the same each time
    return build_model(build(ModelSettings, settings, "--checkpoint"))


def _export(folder: Path) -> VidLA:
    if not (folder / CONFIG).is_file():
        better = next((sub for sub in (folder / "best", folder / "export") if (sub / CONFIG).is_file()), None)
        hint = f"; name {better}" if better else "; a run keeps its best model in RUN/best"
        raise UserError(f"--checkpoint {folder}: no {CONFIG} in it{hint}")
    return load(folder)


def _from_open_clip(name: str, frames: int | None, device: torch.device) -> tuple[VideoTextModel, int]:
    """Open a model of single images that open_clip builds."""
    from training.evaluation.video.models.frame_models import FrameMeanModel

    torch.manual_seed(0)
    settings = build(ModelSettings, {"init": name}, "--checkpoint open_clip:")
    return FrameMeanModel(settings).to(device).eval(), settings.frames if frames is None else frames


def _from_transformers(name: str, frames: int | None, device: torch.device) -> tuple[VideoTextModel, int]:
    """Open a model of Hugging Face transformers.

    Raises:
        UserError: it takes another number of frames.
    """
    from training.evaluation.video.models.transformers_models import TransformersModel

    model = TransformersModel(name).to(device).eval()
    if frames is not None and model.frames not in (None, frames):
        raise UserError(f"--frames {frames}: {name} takes clips of {model.frames} frames; leave the flag out")
    return model, model.frames or frames or ModelSettings().frames


_LIBRARIES: Final[Mapping[str, Callable[[str, int | None, torch.device], tuple[VideoTextModel, int]]]] = {
    "open_clip": _from_open_clip,
    "transformers": _from_transformers,
}
