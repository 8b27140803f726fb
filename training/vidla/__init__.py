"""VidLA (CVPR 2024): a two-tower video-text model with hierarchical temporal attention.

    from training.vidla import load, read_video

    model = load("run/best")
    video = model.encode_video(model.preprocess(read_video("dog.mp4", start=3.0, end=8.0)))
    text = model.encode_text(model.tokenizer(["a dog runs"]))

Both are of unit length: their product is the cosine. `ClipDataset` gives the clips of a DIR, with frames and texts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from training.data.clip_dataset import ClipDataset
    from training.data.decoding.read_video import read_video
    from training.models.vidla.vidla_folder import load, save

__all__ = ["ClipDataset", "load", "read_video", "save"]

_MODULES: Final = {
    "ClipDataset": "training.data.clip_dataset",
    "load": "training.models.vidla.vidla_folder",
    "read_video": "training.data.decoding.read_video",
    "save": "training.models.vidla.vidla_folder",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: the commands must answer without importing torch."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
