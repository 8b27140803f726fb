"""A model as a folder: `config.json` (what it is, its architecture) and `model.safetensors`, and what may lie beside.

Every kind of model that is trained here is kept in such a folder; the modules that know a model
(`training.models.vidla.vidla_folder`, `training.models.vidlankd.teacher_model`, `training.models.vidlankd.student_model`) add what its architecture means.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from runtime.errors import UserError
from runtime.models import model_uri
from shards.storage.files import empty_or_new_folder

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
_SHOWN: Final = 8
_ABSENT: Final = "absent"


@dataclass(frozen=True)
class ModelFormat:
    """A kind of model, and the layout of its folders."""

    name: str
    """Stands in `config.json` as `format`, and tells kinds apart."""
    version: int
    """Raised when an older program could not read what is written."""
    beside: tuple[str, ...] = ()
    """Names of the other files that belong to such a folder."""


def save_model(
    module: nn.Module,
    folder: Path,
    kind: ModelFormat,
    architecture: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
    write_beside: Callable[[Path], None] | None = None,
) -> None:
    """Write a model; a folder of the same name that holds an older one is replaced, at once or not at all.

    Args:
        module: whose parameters and buffers are written; what is tied is written once, under its first name.
        folder: where; its parents are made.
        kind: of the model.
        architecture: plain JSON that rebuilds the module.
        extra: plain JSON to keep beside the architecture (step, scores).
        write_beside: writes further files, of `kind.beside`, into the folder that it is given.

    Raises:
        UserError: something else lies at `folder`.
    """
    own = {CONFIG, WEIGHTS, *kind.beside}
    foreign = [p.name for p in folder.iterdir() if p.name not in own] if folder.is_dir() else []
    if foreign or folder.is_file():
        raise UserError(f"export to {folder}: something else lies there ({', '.join(foreign) or 'a file'})")
    config = {"format": kind.name, "version": kind.version, "architecture": architecture, "extra": dict(extra or {})}
    with empty_or_new_folder(folder) as partial:  # a checkpoint passes the empty folder that it replaces as a whole
        save_file({name: value.cpu().contiguous() for name, value in _untied(module).items()}, partial / WEIGHTS)
        if write_beside is not None:
            write_beside(partial)
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (partial / CONFIG).write_text(text, encoding="utf-8")  # last: a folder without it holds no model


def local_folder(name: str | Path) -> Path:
    """The folder that a path or a model URI (`hf://org/name`, `path:///folder`) means, fetched where it must be.

    Raises:
        UserError: no such model.
    """
    return Path(model_uri.resolve(name).path) if isinstance(name, str) and "://" in name else Path(name)


def format_of(folder: Path) -> str | None:
    """Name of the kind of model that lies in `folder`; None where none of ours does."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    name = values.get("format") if isinstance(values, dict) and "architecture" in values else None
    return name if isinstance(name, str) else None


def read_config(folder: Path, kind: ModelFormat) -> dict[str, Any]:
    """What `save_model` wrote beside the weights: `architecture` and `extra`.

    Raises:
        UserError: no model of that kind lies there, or it is of another version.
    """
    found = format_of(folder)
    if found != kind.name:
        what = f"a {found} model lies there, not a {kind.name}" if found else f"no {kind.name} model lies there"
        inside = f"; {folder / 'best'} is one" if format_of(folder / "best") == kind.name else ""
        raise UserError(f"model {folder}: {what} (name the folder that holds its {CONFIG} and {WEIGHTS}){inside}")
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("version") != kind.version:
        raise UserError(
            f"model {folder}: format version {config.get('version')}, this program reads {kind.version}; "
            "use the program that wrote it, or export again"
        )
    return dict(config)


def load_weights(module: nn.Module, folder: Path) -> None:
    """Read the weights of a folder into a module of the same architecture.

    Raises:
        UserError: the weights can't be read, or are of another architecture; the differences are listed.
    """
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"model {folder}: {WEIGHTS} can't be read ({error}); copy the folder again") from None
    found = differences(_shapes(state), _shapes(_untied(module)))
    if found:
        raise UserError(f"model {folder}: weights are of another architecture (file, model): {'; '.join(found)}")
    module.load_state_dict(state, strict=False)  # all names were compared; what is missing is tied to one of them


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Where two nested descriptions differ, as `name first, second`; at most eight, then how many more."""
    a, b = dict(_flat(first)), dict(_flat(second))
    names = [name for name in sorted(a.keys() | b.keys()) if a.get(name, _ABSENT) != b.get(name, _ABSENT)]
    shown = [f"{name} {a.get(name, _ABSENT)}, {b.get(name, _ABSENT)}" for name in names[:_SHOWN]]
    return shown + ([f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _untied(module: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a module; of tensors that are one and the same only the first."""
    found: dict[str, torch.Tensor] = {}
    seen: set[tuple[int, int, torch.Size]] = set()
    for name, value in module.state_dict().items():
        place = (value.untyped_storage().data_ptr(), value.storage_offset(), value.shape)
        if value.numel() and place in seen:
            continue
        seen.add(place)
        found[name] = value.detach()
    return found


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    return {name: "x".join(map(str, value.shape)) or "scalar" for name, value in state.items()}
