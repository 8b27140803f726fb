"""Tiny models of open_clip on disk, as hubs publish them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from support.tiny_clip import TEXT, VISION, tiny_clip


def open_clip_folder(folder: Path, seed: int = 0) -> Path:
    """Write a CLIP with random weights into a folder: 32 px, 24 numbers in a vector."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT, "custom_text": True}}
    (folder / "open_clip_config.json").write_text(json.dumps(config | {"preprocess_cfg": {}}))
    torch.save(tiny_clip(seed).state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder
