"""The configuration in a model's folder: its kind and architecture. Nothing here imports torch.

`training.engine.checkpoints.model_folder` reads and writes the weights beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypedDict

from runtime.errors import UserError
from runtime.models import model_uri

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"


@dataclass(frozen=True)
class ModelFormat:
    """A kind of model and the layout of its folder."""

    name: str
    """Value of `format` in `config.json`."""
    version: int
    """Increased when an older program could not read the folder."""
    beside: tuple[str, ...] = ()
    """Names of further files in such a folder."""


class ModelConfig(TypedDict):
    """The contents of `config.json`."""

    format: str
    """`ModelFormat.name`."""
    version: int
    architecture: dict[str, Any]
    """Plain JSON that rebuilds the model."""
    extra: dict[str, Any]
    """Plain JSON that the writer added."""


def local_folder(name: str | Path) -> Path:
    """Return the folder of a path or a model URI (`hf://org/name`, `path:///folder`), fetched if necessary.

    Raises:
        UserError: no such model.
    """
    return Path(model_uri.resolve(name).path) if isinstance(name, str) and "://" in name else Path(name)


def format_of(folder: Path) -> str | None:
    """Return the kind of the model in `folder`; None if it holds no model of ours."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    name = values.get("format") if isinstance(values, dict) and "architecture" in values else None
    return name if isinstance(name, str) else None


def read_config(folder: Path, kind: ModelFormat) -> ModelConfig:
    """Return the contents of `config.json`: `architecture` and `extra`.

    Raises:
        UserError: the folder holds no model of that kind, or one of another version.
    """
    found = format_of(folder)
    if found != kind.name:
        what = f"holds a {found} model, not a {kind.name}" if found else f"holds no {kind.name} model"
        inside = f"; {folder / 'best'} is one" if format_of(folder / "best") == kind.name else ""
        raise UserError(f"model {folder}: {what} (name the folder that holds its {CONFIG} and {WEIGHTS}){inside}")
    config: ModelConfig = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("version") != kind.version:
        raise UserError(
            f"model {folder}: format version {config.get('version')}, this program reads {kind.version}; "
            "use the program that wrote it, or export again"
        )
    return config
