"""A VidLA model to start from: CLIP weights by tag or URI, one of our own exports, or random weights.

    openai                      an open_clip tag, of `architecture`
    ViT-B-16:openai             the same in one word
    hf://org/name               a hub's repository: open_clip_config.json and weights, or an export of ours
    path:///folder              a folder of this machine, likewise
    random:ViT-B-32             an architecture of open_clip without weights; also a configuration FILE.json, and
    random:tiny                 a model for two CPU cores, 64-pixel frames

QuickGELU follows the weights: open_clip only warns where activation and weights don't belong together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import open_clip
from open_clip import pretrained as tags
from safetensors import SafetensorError
from torch import nn

from runtime.errors import UserError, nearest, one_line
from runtime.models import model_uri
from training.engine.model_folder import differences
from training.models.vidla import vidla_folder
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import (
    CLIP_MEAN,
    CLIP_STD,
    VidLA,
    build,
    build_clip,
    set_temperature,
)
from training.models.vidla.video_tower import check_supported

_QUICK = "-quickgelu"
_TINY = Path(__file__).parent / "tiny.json"


def build_model(settings: ModelSettings) -> VidLA:
    """The model that `settings` ask for, on the CPU, in float32.

    Raises:
        UserError: no such weights, or they can't be had from here; a tower that can't become a video tower; an export
            of another architecture.
    """
    model = _build(settings)
    model.video.checkpointing = settings.checkpointing
    if settings.checkpointing and hasattr(model.text, "set_grad_checkpointing"):
        model.text.set_grad_checkpointing(True)  # type: ignore[operator]
    return model


def build_image_tower(settings: ModelSettings) -> tuple[nn.Module, dict[str, Any]]:
    """The image tower of a CLIP as it is, of whatever kind: for frames one by one.

    Args:
        settings: `init` and `architecture` matter.

    Returns:
        open_clip's tower, and the architecture as `VidLA.architecture` has it (`mean` and `std` of its pictures).

    Raises:
        UserError: no such weights, they can't be had from here, or they are not of a CLIP.
    """
    architecture, weights = _described(settings)
    clip = build_clip(architecture)
    if weights is not None:
        _load(clip, weights, settings.init)
    return clip.visual, architecture


Weights = Callable[[], str]
"""The file with weights, fetched where it is not here yet."""


def _build(settings: ModelSettings) -> VidLA:
    folder = Path(model_uri.resolve(settings.init).path) if "://" in settings.init else None
    if folder is not None and vidla_folder.is_export(folder):
        return _from_export(folder, settings)
    architecture, weights = _described(settings)
    return _random(architecture, settings) if weights is None else _with_weights(architecture, settings, weights)


def _described(settings: ModelSettings) -> tuple[dict[str, Any], Weights | None]:
    """The architecture that `init` names, and its weights; None: random ones."""
    init = settings.init
    if init.startswith("random:"):
        name = init.removeprefix("random:")
        file = _TINY if name == "tiny" else Path(name)
        config = _read_json(file) if file.suffix == ".json" else _known_config(name)
        return _architecture(config, settings, CLIP_MEAN, CLIP_STD), None
    if "://" in init:
        return _in_folder(init, settings)
    architecture, _, tag = init.rpartition(":")
    return _tagged(architecture or settings.architecture, tag, settings)


def _random(architecture: dict[str, Any], settings: ModelSettings) -> VidLA:
    """An architecture without weights."""
    model = build(architecture)
    if settings.temperature != "keep":
        set_temperature(model, settings.temperature)
    return model


def _tagged(architecture: str, tag: str, settings: ModelSettings) -> tuple[dict[str, Any], Weights]:
    """open_clip's weights of that tag, with the activation that they were trained with."""
    name = architecture.removesuffix(_QUICK)
    config = _known_config(name)
    entry = tags.get_pretrained_cfg(name, tag)
    if not entry:
        known = ", ".join(tags.list_pretrained_tags_by_model(name)) or "none"
        raise UserError(f"init={settings.init!r}: open_clip has no weights {tag!r} of {name} (there are: {known})")
    quick = bool(entry.get("quick_gelu"))
    if config.get("quick_gelu") and not quick:
        raise UserError(
            f"init={settings.init!r}: {name} has QuickGELU but {tag!r} was trained without; take another tag"
        )
    described = _architecture({**config, "quick_gelu": quick}, settings, entry["mean"], entry["std"])
    return described, lambda: _download(settings.init, entry)


def _in_folder(uri: str, settings: ModelSettings) -> tuple[dict[str, Any], Weights]:
    """A folder with open_clip's configuration and weights."""
    folder = Path(model_uri.resolve(uri).path)
    file = folder / "open_clip_config.json"
    if not file.is_file():
        raise UserError(
            f"init={uri!r}: neither an export ({vidla_folder.CONFIG}) nor open_clip weights ({file.name}) lie there; "
            "take a repository or folder that holds one of them"
        )
    described = _read_json(file)
    config, pictures = described.get("model_cfg", described), described.get("preprocess_cfg", {})
    weights = open_clip.factory._find_checkpoint_in_dir(folder)
    if weights is None:
        raise UserError(f"init={uri!r}: there is {file.name} but no weights beside it (open_clip_model.safetensors)")
    found = str(weights)
    mean, std = pictures.get("mean", CLIP_MEAN), pictures.get("std", CLIP_STD)
    return _architecture(config, settings, mean, std), lambda: found


def _from_export(folder: Path, settings: ModelSettings) -> VidLA:
    """One of our own models; what is asked for expressly must agree with it, but for the number of frames."""
    model = vidla_folder.load(folder)
    if "temporal" in settings.model_fields_set:
        found = differences(model.architecture["temporal"], settings.temporal.model_dump(mode="json"))
        if found:
            raise UserError(f"init={settings.init!r}: temporal settings differ (export, asked for): {'; '.join(found)}")
    model.video.resize(settings.frames)
    return model


def _with_weights(architecture: dict[str, Any], settings: ModelSettings, weights: Weights) -> VidLA:
    """CLIP of this architecture with the weights at `weights()`, made into a VidLA.

    Weights are asked for last: what can't become a video tower is refused before anything is fetched.
    """
    clip = build_clip(architecture)
    check_supported(clip.visual)
    _load(clip, weights, settings.init)
    model = VidLA(clip, architecture)
    if settings.temperature == "keep":
        nn.init.constant_(model.logit_scale, clip.logit_scale.item())
    else:
        set_temperature(model, settings.temperature)
    return model


def _load(clip: nn.Module, weights: Weights, init: str) -> None:
    try:
        open_clip.load_checkpoint(clip, weights(), strict=True, weights_only=True)
    except (RuntimeError, SafetensorError, UnpicklingError, EOFError) as error:
        raise UserError(f"init={init!r}: weights can't be read: {one_line(error, keep='first')}") from None


def _download(init: str, entry: Mapping[str, Any]) -> str:
    """The file with a tag's weights, fetched where the cache lacks it.

    Raises:
        UserError: it can't be had from here.
    """
    try:
        return str(tags.download_pretrained(dict(entry)))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"init={init!r}: weights can't be fetched ({one_line(error, keep='first')}); check the network, "
            "or name a copy as path:///folder (open_clip_config.json and weights)"
        ) from None


def _known_config(name: str) -> dict[str, Any]:
    """open_clip's configuration of an architecture.

    Raises:
        UserError: there is none of this name.
    """
    config = open_clip.get_model_config(name)
    if config is None:
        raise UserError(f"architecture {name!r}: unknown to open_clip{nearest(name, open_clip.list_models())}")
    return dict(config)


def _architecture(
    config: Mapping[str, Any], settings: ModelSettings, mean: Sequence[float], std: Sequence[float]
) -> dict[str, Any]:
    """What rebuilds the model, as `VidLA.architecture` has it.

    Raises:
        UserError: the configuration is not of a two-tower CLIP.
    """
    missing = [part for part in ("embed_dim", "vision_cfg", "text_cfg") if part not in config]
    if missing or "multimodal_cfg" in config:
        reason = f"no {', '.join(missing)}" if missing else "it is a CoCa, with a text decoder"
        raise UserError(f"init={settings.init!r}: not the configuration of a CLIP of two towers ({reason})")
    return {
        "embed_dim": config["embed_dim"],
        "quick_gelu": bool(config.get("quick_gelu", False)),
        "vision_cfg": dict(config["vision_cfg"]),
        "text_cfg": dict(config["text_cfg"]),
        "temporal": settings.temporal.model_dump(mode="json"),
        "frames": settings.frames,
        "mean": [float(x) for x in mean],
        "std": [float(x) for x in std],
    }


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: can't be read as JSON ({one_line(error, keep='first')})") from None
    if not isinstance(values, dict):
        raise UserError(f"{file}: must hold a JSON object, found {type(values).__name__}")
    return values
