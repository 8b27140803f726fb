"""A linear classifier on the video tower, and its files in a model's folder.

The head reads the [CLS] token of the last layer after `ln_post`, before the projection into the space shared with
text: the projection is trained to match sentences and would remove information. (The paper only says "head on video
encoder".)

Shapes: B clips, T frames, C colours, H, W pixels, D width of the tower, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from runtime.errors import UserError
from shards.storage.files import new_file, write_file
from training.models.vidla.video_tower import VideoTower

_CONFIG: Final = "head.json"
_WEIGHTS: Final = "head.safetensors"
_FORMAT: Final = 1


class HeadConfig(TypedDict):
    """The contents of `head.json`."""

    format: int
    classes: list[str]
    """Names, in the order of the logits."""
    width: int
    """D of the tower."""
    benchmark: NotRequired[str]
    sampling: NotRequired[str]
    """Sampling of the frames in training."""
    frames: NotRequired[int]
    """Frames of a clip in training."""


class ClassificationHead(nn.Module):
    """Dropout and one linear layer: [B, D] → [B, K] logits."""

    def __init__(self, width: int, classes: Sequence[str], dropout: float = 0.0) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, len(self.classes))
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features_BD: torch.Tensor) -> torch.Tensor:
        """Return logits [B, K]."""
        return cast(torch.Tensor, self.linear(self.dropout(features_BD)))


class VideoClassifier(nn.Module):
    """A video tower and its head; the tower's projection is unused and not trained."""

    def __init__(self, video: VideoTower, head: ClassificationHead) -> None:
        super().__init__()
        self.video = video
        self.head = head
        for parameter in video.projection:
            parameter.requires_grad_(False)

    def forward(self, video_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return logits [B, K] of normalised clips, in float32 whatever the precision of the tower."""
        features_BD = self.video.features(video_BTCHW)
        with torch.autocast(video_BTCHW.device.type, enabled=False):
            return cast(torch.Tensor, self.head(features_BD.float()))


def width_of(video: VideoTower) -> int:
    """Return D, the length of the features that a head reads."""
    return video.width


def save_head(head: ClassificationHead, folder: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write `head.json` and `head.safetensors` into the folder of a model.

    Args:
        head: its classes are saved with it, in their order.
        folder: made if it does not exist.
        extra: plain values for `head.json`: benchmark, sampling, frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in head.linear.state_dict().items()}
    with new_file(folder / _WEIGHTS) as weights:
        save_file(state, str(weights))
    record = {"format": _FORMAT, "classes": list(head.classes), "width": head.linear.in_features}
    write_file(folder / _CONFIG, json.dumps(record | dict(extra or {}), indent=2, ensure_ascii=False).encode())


def read_head_config(folder: Path) -> HeadConfig:
    """Return the contents of `head.json`: classes, width, and the `extra` values of `save_head`.

    Raises:
        UserError: the folder holds no head, one of another format, or a damaged file.
    """
    try:
        record = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"--head {folder}: holds no {_CONFIG}; name the folder of a finetuned checkpoint") from None
    except (OSError, ValueError) as error:
        raise UserError(f"--head {folder}: {_CONFIG} can't be read ({error}); copy it again") from None
    found = record.get("format") if isinstance(record, dict) else None
    if found != _FORMAT:
        raise UserError(f"--head {folder}: format {found}, this version reads {_FORMAT}; train it again")
    return cast(HeadConfig, record)


def load_head(folder: Path, width: int) -> ClassificationHead:
    """Read a head for a tower of `width`.

    Raises:
        UserError: the folder holds no head, one of another format or width, or damaged files.
    """
    config = read_head_config(folder)
    try:
        state = load_file(str(folder / _WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise UserError(f"--head {folder}: {_WEIGHTS} can't be read ({error}); copy it again") from None
    shape = tuple(state["weight"].shape) if "weight" in state else None
    if shape != (len(config["classes"]), width):
        raise UserError(
            f"--head {folder}: made for a tower of width {config['width']}, --checkpoint has {width}; take the pair"
        )
    head = ClassificationHead(width, config["classes"])
    head.linear.load_state_dict(state)
    return head.eval()
