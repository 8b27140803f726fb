"""Tiny models of open_clip on disk, as hubs publish them, of each kind: CLIP, SigLIP 2, PE-Core, EVA02."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import support.timm_towers  # noqa: F401 - registers the image towers that the configurations name
import torch
from open_clip.model import CustomTextCLIP
from support.timm_towers import stirred
from support.tiny_bert import tiny_tokenizer
from support.tiny_clip import TEXT, VISION, tiny_clip

_PATCHES: Final = {"image_size": 32, "timm_model_pretrained": False}
_SIGLIP_TEXT: Final = {
    **TEXT, "width": 32, "no_causal_mask": True, "proj_bias": True, "pool_type": "last",
    "hf_tokenizer_name": "no-such-org/tokenizer", "tokenizer_kwargs": {"clean": "canonicalize"},
    "norm_kwargs": {"eps": 1e-6}, "act_kwargs": {"approximate": "tanh"},
}  # fmt: skip

KINDS: Final[Mapping[str, dict[str, Any]]] = {
    "siglip2": {
        "embed_dim": 32, "init_logit_bias": -10, "text_cfg": _SIGLIP_TEXT, "custom_text": True,
        "vision_cfg": {**_PATCHES, "timm_model_name": "tiny_siglip", "timm_pool": "map", "timm_proj": "none"},
    },
    "pe": {
        "embed_dim": 24, "text_cfg": TEXT, "custom_text": True,
        "vision_cfg": {**_PATCHES, "timm_model_name": "tiny_pe", "timm_pool": "map", "timm_proj": None},
    },
    "eva02": {
        "embed_dim": 24, "text_cfg": TEXT, "custom_text": True,
        "vision_cfg": {**_PATCHES, "timm_model_name": "tiny_eva02", "timm_pool": "token", "timm_proj": None},
    },
}  # fmt: skip
"""open_clip's configurations, in the form of its own ViT-B-16-SigLIP2, PE-Core-B-16 and EVA02-B-16."""


def open_clip_folder(folder: Path, seed: int = 0) -> Path:
    """Write a CLIP with random weights into a folder: 32 px, 24 numbers in a vector."""
    config = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT, "custom_text": True}
    return _written(folder, config, tiny_clip(seed))


def folder_of_kind(folder: Path, kind: str, seed: int = 0) -> Path:
    """Write a model of one of `KINDS` with random weights into a folder, with its tokenizer if it names one."""
    config = KINDS[kind]
    _written(folder, config, open_clip_model(kind, seed))
    return tiny_tokenizer(folder) if "hf_tokenizer_name" in config["text_cfg"] else folder


def open_clip_model(kind: str, seed: int = 0) -> CustomTextCLIP:
    """Build open_clip's own model of one of `KINDS`, with no parameter at its initial value."""
    torch.manual_seed(seed)
    config = KINDS[kind]
    bias = config.get("init_logit_bias")
    model: CustomTextCLIP = stirred(
        CustomTextCLIP(config["embed_dim"], dict(config["vision_cfg"]), dict(config["text_cfg"]), init_logit_bias=bias)
    )
    return model


def _written(folder: Path, config: Mapping[str, Any], clip: CustomTextCLIP) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.save(clip.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder
