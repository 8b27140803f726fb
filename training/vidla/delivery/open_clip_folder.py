"""A model without attention over time as a folder that open_clip opens (`local-dir:`, `hf-hub:`).

open_clip's towers have no place for [MST] and for attention over time, so a model with them is refused. What is left of
time is the temporal position embedding; that of a single frame is added to the positions of the patches.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file

from runtime.errors import UserError
from shards.storage.files import empty_or_new_folder
from training.models.vidla import vidla_folder
from training.models.vidla.towers.clip_tower import ClipTower
from training.models.vidla.two_tower import VidLA, build_clip
from training.models.vidla.video_tower import interpolate, is_new
from training.vidla.delivery import README

CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = "open_clip_model.safetensors"


def write_open_clip_folder(source: Path, folder: Path, card: str) -> None:
    """Write a model for open_clip, with its card.

    Args:
        source: folder of a trained model (``RUN/best``).
        folder: to write; must be new, empty or an earlier export.
        card: contents of ``README.md``.

    Raises:
        UserError: `source` holds no model, or one that open_clip can't express.
    """
    model = vidla_folder.load(source)
    _check(model, source)
    architecture = model.architecture
    clip = build_clip(architecture)
    clip.load_state_dict(_state(model), strict=False)
    names = ("embed_dim", "quick_gelu", "vision_cfg", "text_cfg")
    config = {
        "model_cfg": {**{name: architecture[name] for name in names}, "custom_text": True},  # type: ignore[literal-required]
        "preprocess_cfg": {
            "size": model.image_size, "mean": architecture["mean"], "std": architecture["std"],
            "interpolation": "bilinear", "resize_mode": "shortest",
        },
    }  # fmt: skip
    with empty_or_new_folder(folder) as partial:
        state = {name: value.detach().cpu().clone().contiguous() for name, value in clip.state_dict().items()}
        save_file(state, partial / WEIGHTS)
        model.tokenizer.save(partial)
        (partial / README).write_text(card, encoding="utf-8")
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _check(model: VidLA, source: Path) -> None:
    """Refuse what has no place in open_clip's towers.

    Raises:
        UserError: the model has attention over time, or its tower is of another kind than CLIP's.
    """
    temporal = model.video.settings
    parts = ["[MST] tokens"] if temporal.levels else []
    parts += ["spatially local attention"] if temporal.spatially_local else []
    parts += [] if isinstance(model.video, ClipTower) else [f"positions of a {type(model.video).__name__}"]
    if parts:
        raise UserError(
            f"--format open_clip: {source} has {' and '.join(parts)}, which open_clip lacks; use --format hf"
        )


def _state(model: VidLA) -> dict[str, torch.Tensor]:
    """Return the weights by open_clip's names."""
    state = {f"visual.{name}": value for name, value in model.video.state_dict().items() if not is_new(name)}
    of_frame_1D = interpolate(model.video.temporal_embedding.detach(), 1)
    positions = state["visual.positional_embedding"].clone()
    positions[1:] += of_frame_1D
    text = {f"text.{name}": value for name, value in model.text.state_dict().items()}
    return {**state, "visual.positional_embedding": positions, **text, "logit_scale": model.logit_scale.detach()}
