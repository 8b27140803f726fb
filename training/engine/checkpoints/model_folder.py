"""A model as a folder: `config.json` (kind and architecture), `model.safetensors`, and further files of its kind.

Every kind of model that is trained here is kept in such a folder. The modules that know a model build it from its
architecture: `training.models.vidla.vidla_folder`, `training.models.vidlankd.teacher_model` and `student_model`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from runtime.errors import UserError
from shards.storage.files import empty_or_new_folder
from training.engine.checkpoints.model_config import CONFIG, WEIGHTS, ModelFormat
from training.engine.checkpoints.run_folder import STATE
from training.engine.checkpoints.training_state import read_weights, untied

_SHOWN: Final = 8
_ABSENT: Final = "absent"


def save_model(
    module: nn.Module,
    folder: Path,
    kind: ModelFormat,
    architecture: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
    write_beside: Callable[[Path], None] | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a model; a folder of the same name with an older model is replaced, at once or not at all.

    Args:
        module: its parameters and buffers are written; tied ones once, under the first name.
        folder: to write; its parents are made.
        kind: kind of the model.
        architecture: plain JSON that rebuilds the module.
        extra: plain JSON to keep beside the architecture (step, scores).
        write_beside: writes the files of `kind.beside` into the folder that it is given.
        weights: values to write in place of the module's; empty: no weights are written.

    Raises:
        UserError: `folder` holds something else.
    """
    written = untied(module) if weights is None else weights
    own = {CONFIG, WEIGHTS, *kind.beside}
    foreign = [p.name for p in folder.iterdir() if p.name not in own] if folder.is_dir() else []
    if foreign or folder.is_file():
        raise UserError(f"export to {folder}: it holds something else ({', '.join(foreign) or 'a file'})")
    config = {"format": kind.name, "version": kind.version, "architecture": architecture, "extra": dict(extra or {})}
    with empty_or_new_folder(folder) as partial:  # a checkpoint passes the empty folder that it replaces as a whole
        if written:
            save_file({name: value.cpu().contiguous() for name, value in written.items()}, partial / WEIGHTS)
        if write_beside is not None:
            write_beside(partial)
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (partial / CONFIG).write_text(text, encoding="utf-8")  # last: a folder without it holds no model


def load_weights(module: nn.Module, folder: Path) -> None:
    """Read the weights of a folder into a module of the same architecture: of a model, or of a checkpoint.

    Raises:
        UserError: the weights can't be read, or are of another architecture; the differences are listed.
    """
    if not (folder / WEIGHTS).exists() and (folder / STATE).is_dir():
        read_weights(module, folder / STATE)
        return
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"model {folder}: {WEIGHTS} can't be read ({error}); copy the folder again") from None
    found = differences(_shapes(state), _shapes(untied(module)))
    if found:
        raise UserError(f"model {folder}: weights are of another architecture (file, model): {'; '.join(found)}")
    module.load_state_dict(state, strict=False)  # all names were compared: a missing one is tied to another


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """List where two nested descriptions differ, as `name first, second`; at most eight, then the number of others."""
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


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    return {name: "x".join(map(str, value.shape)) or "scalar" for name, value in state.items()}
