"""VidLA (CVPR 2024): a two-tower video-text model with hierarchical temporal attention.

    from training.vidla import load

    model = load("run/best")
    video, text = model.encode_video(frames_BTCHW), model.encode_text(model.tokenizer(["a dog runs"]))

Both are of unit length: their product is the cosine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.models.vidla.vidla_folder import load, save

__all__ = ["load", "save"]


def __getattr__(name: str) -> Any:
    """Import `load` and `save` on first use: the commands must answer without importing torch."""
    if name in __all__:
        from training.models.vidla import vidla_folder

        return getattr(vidla_folder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
