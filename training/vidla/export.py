"""A trained model as a folder: `config.json` (architecture, format version) and `model.safetensors`.

    from training.vidla.export import load
    model = load("runs/first/export")
    embeddings = model.encode_text(model.tokenizer(["a dog jumps over a log"]))

Such a folder is also what `init` takes (`path:///folder`), and `eval-vidla`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from runtime import models
from runtime.errors import UserError
from training.vidla.model import VidLA, build

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_FORMAT = "vidla"
_VERSION = 1
_SHOWN = 8


def save(model: VidLA, folder: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write a model; a folder of the same name that holds an older export is replaced, at once or not at all.

    Args:
        model: what to write.
        folder: where; its parents are made.
        extra: plain JSON to keep beside the architecture (step, scores).

    Raises:
        UserError: something else lies at `folder`.
    """
    foreign = [p.name for p in folder.iterdir() if p.name not in (CONFIG, WEIGHTS)] if folder.is_dir() else []
    if foreign or folder.is_file():
        raise UserError(f"export to {folder}: something else lies there ({', '.join(foreign) or 'a file'})")
    partial, old = folder.with_name(f".{folder.name}.partial"), folder.with_name(f".{folder.name}.old")
    for rest in (partial, old):
        shutil.rmtree(rest, ignore_errors=True)
    partial.mkdir(parents=True)
    config = {"format": _FORMAT, "version": _VERSION, "architecture": model.architecture, "extra": dict(extra or {})}
    (partial / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, partial / WEIGHTS
    )
    _to_disk(partial)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load(folder: str | Path, device: str | torch.device = "cpu") -> VidLA:
    """A model that `save` wrote, ready to encode.

    Args:
        folder: a path, or a model URI (`hf://org/name`, `path:///folder`).
        device: where to put it.

    Raises:
        UserError: no export lies there, it is of another version or cut short, or weights and architecture differ; the
            differences are listed.
    """
    path = Path(models.resolve(folder).path) if isinstance(folder, str) and "://" in folder else Path(folder)
    model = build(read_config(path)["architecture"])
    load_weights(model, path)
    return model.to(device).eval()


def load_weights(model: VidLA, folder: Path) -> None:
    """Read the weights of an export into a model of the same architecture.

    Raises:
        UserError: the weights can't be read, or are of another architecture; the differences are listed.
    """
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"model {folder}: {WEIGHTS} can't be read ({error}); copy the folder again") from None
    found = differences(_shapes(state), _shapes(model.state_dict()))
    if found:
        raise UserError(f"model {folder}: weights are of another architecture (file, model): {'; '.join(found)}")
    model.load_state_dict(state)


def is_export(folder: Path) -> bool:
    """Whether `folder` holds a model that `save` wrote, of whatever version."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("format") == _FORMAT


def read_config(folder: Path) -> dict[str, Any]:
    """What `save` wrote beside the weights: `architecture` and `extra`.

    Raises:
        UserError: no export lies there, or it is of another version.
    """
    if not is_export(folder):
        raise UserError(f"model {folder}: no export lies there (a folder with {CONFIG} and {WEIGHTS})")
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("version") != _VERSION:
        raise UserError(
            f"model {folder}: format version {config.get('version')}, this program reads {_VERSION}; "
            "use the program that wrote it, or export again"
        )
    return dict(config)


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Where two nested descriptions differ, as `name first, second`; at most eight, then how many more."""
    a, b = dict(_flat(first)), dict(_flat(second))
    names = [name for name in sorted(a.keys() | b.keys()) if a.get(name, _ABSENT) != b.get(name, _ABSENT)]
    shown = [f"{name} {a.get(name, _ABSENT)}, {b.get(name, _ABSENT)}" for name in names[:_SHOWN]]
    return shown + ([f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])


_ABSENT = "absent"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    return {name: "x".join(map(str, value.shape)) or "scalar" for name, value in state.items()}


def _to_disk(folder: Path) -> None:
    """Wait until the files of `folder` would survive a power cut."""
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
