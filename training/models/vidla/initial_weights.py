"""A VidLA model to start from: CLIP weights by tag or URI, one of our own exports, or random weights.

    openai                      an open_clip tag, of `architecture`
    ViT-B-16:openai             architecture and tag in one word
    hf://org/name               a repository of the hub: open_clip_config.json and weights, or an export of ours
    path:///folder              a folder of this machine, with the same files
    random:ViT-B-32             an architecture of open_clip without weights; also a configuration FILE.json, and
    random:tiny                 a model for two CPU cores, 64-pixel frames

QuickGELU follows the weights: open_clip only warns if activation and weights don't belong together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, NamedTuple

import open_clip
from open_clip import pretrained as tags
from open_clip.model import CustomTextCLIP
from safetensors import SafetensorError
from torch import nn

from runtime.errors import UserError, nearest, one_line
from runtime.models import hub, model_uri
from training.engine.checkpoints.model_folder import differences
from training.models.vidla import vidla_folder
from training.models.vidla.model_settings import FIRST_LOGIT_BIAS, FIRST_SIGLIP_TEMPERATURE, LossKind, ModelSettings
from training.models.vidla.towers.tower_registry import family_of
from training.models.vidla.two_tower import (
    CLIP_MEAN,
    CLIP_STD,
    Architecture,
    VidLA,
    build,
    build_clip,
    set_temperature,
)

_QUICK: Final = "-quickgelu"
_TINY: Final = Path(__file__).parent / "tiny.json"

OpenClipConfig = Mapping[str, Any]
"""A configuration in open_clip's own format, or an entry of its table of pretrained weights."""

WeightsFile = Callable[[], str]
"""Returns the path of a file with weights; fetches it if necessary."""


@dataclass(frozen=True)
class _ClipStart:
    """A CLIP to start from."""

    architecture: Architecture
    weights: WeightsFile | None
    """None: random weights."""
    folder: Path | None = None
    """May hold the files of the text tower's tokenizer."""


def build_model(settings: ModelSettings, kind: LossKind = "infonce") -> VidLA:
    """Build the model of `settings`, on the CPU, in float32, with what the kind of its loss learns.

    Raises:
        UserError: the weights do not exist or can't be fetched; the tower can't become a video tower; or an export is
            of another architecture.
    """
    model = _build(settings, kind)
    if kind == "siglip" and model.logit_bias is None:
        model.add_logit_bias(FIRST_LOGIT_BIAS if settings.logit_bias == "keep" else settings.logit_bias)
    context = model.tokenizer.context  # a tokenizer that can't be had is refused here, before the data is opened
    if settings.text_context is not None and settings.text_context != context:
        model.lengthen_context(settings.text_context)
    model.video.checkpointing = settings.checkpointing
    if settings.checkpointing == "layers" and hasattr(model.text, "set_grad_checkpointing"):
        model.text.set_grad_checkpointing(True)  # type: ignore[operator]
    return model


class ImageTextTowers(NamedTuple):
    """Unchanged image and text towers of a CLIP."""

    clip: CustomTextCLIP
    """open_clip's model."""
    architecture: Architecture
    """Its configuration; `mean` and `std` normalise the colours."""
    folder: Path | None
    """May hold the files of the text tower's tokenizer."""


def build_image_text_model(settings: ModelSettings) -> ImageTextTowers:
    """Build the unchanged image and text towers of a CLIP, of any kind, for single frames.

    Args:
        settings: only `init` and `architecture` are read.

    Raises:
        UserError: the weights do not exist, can't be fetched, or are not of a CLIP.
    """
    start = _clip_start(settings)
    clip = build_clip(start.architecture)
    if start.weights is not None:
        _load(clip, start.weights, settings.init)
    return ImageTextTowers(clip, start.architecture, start.folder)


def _build(settings: ModelSettings, kind: LossKind) -> VidLA:
    folder = Path(model_uri.resolve(settings.init).path) if "://" in settings.init else None
    if folder is not None and vidla_folder.is_export(folder):
        return _from_export(folder, settings)
    start = _clip_start(settings)
    if start.weights is None:
        return _random(start.architecture, settings, kind)
    return _with_weights(start, start.weights, settings)


def _clip_start(settings: ModelSettings) -> _ClipStart:
    """Return the architecture and the weights that `init` names."""
    init = settings.init
    if init.startswith("random:"):
        name = init.removeprefix("random:")
        file = _TINY if name == "tiny" else Path(name)
        config = _read_json(file) if file.suffix == ".json" else _known_config(name)
        return _ClipStart(_architecture(config, settings, CLIP_MEAN, CLIP_STD), None)
    if "://" in init:
        return _in_folder(init, settings)
    architecture, _, tag = init.rpartition(":")
    return _tagged(architecture or settings.architecture, tag, settings)


def _random(architecture: Architecture, settings: ModelSettings, kind: LossKind) -> VidLA:
    """Build a model with random weights."""
    model = build(architecture)
    if settings.temperature != "keep":
        set_temperature(model, settings.temperature)
    elif kind == "siglip":
        set_temperature(model, FIRST_SIGLIP_TEMPERATURE)
    return model


def _tagged(architecture: str, tag: str, settings: ModelSettings) -> _ClipStart:
    """Return open_clip's weights of a tag, with the activation that they were trained with."""
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
    return _ClipStart(described, lambda: _download(settings.init, entry))


def _in_folder(uri: str, settings: ModelSettings) -> _ClipStart:
    """Return the configuration and the weights in a folder of open_clip's format."""
    folder = Path(model_uri.resolve(uri).path)
    file = folder / "open_clip_config.json"
    if not file.is_file():
        raise UserError(
            f"init={uri!r}: holds neither an export ({vidla_folder.CONFIG}) nor open_clip weights ({file.name}); name "
            "a repository or folder that holds one of them"
        )
    described = _read_json(file)
    config, pictures = described.get("model_cfg", described), described.get("preprocess_cfg", {})
    weights = open_clip.factory._find_checkpoint_in_dir(folder)
    if weights is None:
        raise UserError(f"init={uri!r}: there is {file.name} but no weights beside it (open_clip_model.safetensors)")
    path = str(weights)
    mean, std = pictures.get("mean", CLIP_MEAN), pictures.get("std", CLIP_STD)
    return _ClipStart(_architecture(config, settings, mean, std), lambda: path, folder)


def _from_export(folder: Path, settings: ModelSettings) -> VidLA:
    """Load one of our own models; temporal settings that are given must agree with it, frames are interpolated."""
    model = vidla_folder.load(folder)
    if "temporal" in settings.model_fields_set:
        differing = differences(model.architecture["temporal"], settings.temporal.model_dump(mode="json"))
        if differing:
            raise UserError(
                f"init={settings.init!r}: temporal settings differ (export, asked for): {'; '.join(differing)}"
            )
    model.video.resize(settings.frames)
    return model


def _with_weights(start: _ClipStart, weights: WeightsFile, settings: ModelSettings) -> VidLA:
    """Load a CLIP of this architecture and make a VidLA from it.

    The weights are fetched last, so that a tower that can't become a video tower is refused before a download.
    """
    clip = build_clip(start.architecture)
    family_of(clip.visual)
    _load(clip, weights, settings.init)
    model = VidLA(clip, start.architecture, start.folder)
    if model.logit_bias is not None:
        asked = settings.logit_bias
        nn.init.constant_(model.logit_bias, clip.logit_bias.item() if asked == "keep" else asked)
    if settings.temperature == "keep":
        nn.init.constant_(model.logit_scale, clip.logit_scale.item())
    else:
        set_temperature(model, settings.temperature)
    return model


def _load(clip: nn.Module, weights: WeightsFile, init: str) -> None:
    try:
        open_clip.load_checkpoint(clip, weights(), strict=True, weights_only=True)
    except (RuntimeError, SafetensorError, UnpicklingError, EOFError) as error:
        raise UserError(f"init={init!r}: weights can't be read: {one_line(error, keep='first')}") from None


def _download(init: str, entry: OpenClipConfig) -> str:
    """Return the file with a tag's weights, fetched if the cache does not hold it.

    Raises:
        UserError: it can't be fetched from here.
    """
    if place := entry.get("hf_hub"):
        name, _, file = str(place).rpartition("/")
        file = file or tags.HF_WEIGHTS_NAME
        return str(hub.fetch_file(init, name, [*tags._get_safe_alternatives(file), file]))
    try:
        return str(tags.download_pretrained(dict(entry)))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"init={init!r}: weights can't be fetched ({one_line(error, keep='first')}); check the network, "
            "or name a copy as path:///folder (open_clip_config.json and weights)"
        ) from None


def _known_config(name: str) -> OpenClipConfig:
    """Return open_clip's configuration of an architecture.

    Raises:
        UserError: open_clip has no architecture of this name.
    """
    config: OpenClipConfig | None = open_clip.get_model_config(name)
    if config is None:
        raise UserError(f"architecture {name!r}: unknown to open_clip{nearest(name, open_clip.list_models())}")
    return config


def _architecture(
    config: OpenClipConfig, settings: ModelSettings, mean: Sequence[float], std: Sequence[float]
) -> Architecture:
    """Return the values that rebuild the model.

    Raises:
        UserError: the configuration is not of a CLIP with two towers.
    """
    missing = [part for part in ("embed_dim", "vision_cfg", "text_cfg") if part not in config]
    if missing or "multimodal_cfg" in config:
        reason = f"no {', '.join(missing)}" if missing else "it is a CoCa, with a text decoder"
        raise UserError(f"init={settings.init!r}: not the configuration of a CLIP of two towers ({reason})")
    described: Architecture = {
        "embed_dim": config["embed_dim"],
        "quick_gelu": bool(config.get("quick_gelu", False)),
        "vision_cfg": dict(config["vision_cfg"]),
        "text_cfg": dict(config["text_cfg"]),
        "temporal": settings.temporal.model_dump(mode="json"),
        "frames": settings.frames,
        "mean": [float(x) for x in mean],
        "std": [float(x) for x in std],
    }
    if config.get("init_logit_bias") is not None:
        described["logit_bias"] = True
    return described


def _read_json(file: Path) -> OpenClipConfig:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: can't be read as JSON ({one_line(error, keep='first')})") from None
    if not isinstance(values, dict):
        raise UserError(f"{file}: must hold a JSON object, found {type(values).__name__}")
    return values
