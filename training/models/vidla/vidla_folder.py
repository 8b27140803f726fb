"""The folder of a trained VidLA model: `config.json` (architecture, format version) and `model.safetensors`.

The files of its tokenizer are beside them, unless that is CLIP's.

    from training.models.vidla.vidla_folder import load
    model = load("runs/first/export")
    embeddings = model.encode_text(model.tokenizer(["a dog jumps over a log"]))

`init` (`path:///folder`) and `eval-vidla` read such folders too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import torch

from training.engine.checkpoints import model_config, model_folder
from training.engine.checkpoints.model_config import CONFIG as CONFIG
from training.engine.checkpoints.model_config import ModelConfig, ModelFormat
from training.engine.checkpoints.model_folder import load_weights as load_weights
from training.models.vidla.text.tokenizer import TOKENIZER_FILES
from training.models.vidla.two_tower import Architecture, VidLA, build

FORMAT: Final = ModelFormat("vidla", version=1, beside=TOKENIZER_FILES)


def save(
    model: VidLA,
    folder: Path,
    extra: Mapping[str, Any] | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a model; a folder of the same name with an older export is replaced, at once or not at all.

    Args:
        model: to write.
        folder: to write into; its parents are made.
        extra: plain JSON to keep beside the architecture (step, scores).
        weights: values to write in place of the model's; empty: no weights are written.

    Raises:
        UserError: `folder` holds something else.
    """
    model_folder.save_model(model, folder, FORMAT, model.architecture, extra, model.tokenizer.save, weights)


def load(folder: str | Path, device: str | torch.device = "cpu") -> VidLA:
    """Load a model that `save` wrote, ready to encode.

    Args:
        folder: a path, or a model URI (`hf://org/name`, `path:///folder`).
        device: device of the model.

    Raises:
        UserError: the folder holds no export, one of another version, or a damaged one; or weights and architecture
            differ (the differences are listed).
    """
    path = model_config.local_folder(folder)
    model = build(cast(Architecture, read_config(path)["architecture"]), path)
    load_weights(model, path)
    return model.to(device).eval()


def is_export(folder: Path) -> bool:
    """Return True if `folder` holds a model that `save` wrote, of any version."""
    return model_config.format_of(folder) == FORMAT.name


def read_config(folder: Path) -> ModelConfig:
    """Return the contents of `config.json`: `architecture` and `extra`.

    Raises:
        UserError: the folder holds no export, or one of another version.
    """
    return model_config.read_config(folder, FORMAT)
