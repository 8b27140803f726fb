"""Which encoder makes visual features, and of what: `--encoder` taken apart, without loading anything.

    resnet152+r2plus1d_18         the paper's: an ImageNet network, 1 row a second, joined with a Kinetics network that
                                  sees 24 frames a second
    resnet152+r2plus1d_18@8fps    the same at another rate: that of curated shards
    resnet152                     one of the two alone
    clip:ViT-B-32:openai          a CLIP image tower, frame by frame; also clip:hf://org/name, clip:path:///folder
    vidla:path:///run/best        a trained VidLA model, in windows; also vidla:runs/first/best

`training.features.encoder_registry` builds what is named here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator

from runtime.errors import nearest
from runtime.settings import Runtime, Settings

IMAGE_NETWORKS: Final = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""Torchvision's networks for pictures."""
VIDEO_NETWORKS: Final = (
    *("r2plus1d_18", "r3d_18", "mc3_18", "s3d", "mvit_v1_b", "mvit_v2_s"),
    *("swin3d_t", "swin3d_s", "swin3d_b"),
)
"""Torchvision's networks for clips, trained on Kinetics-400."""
PAPER_FPS: Final = 24.0
"""Frames a second that the paper's video network sees."""
IMAGE_FPS: Final = 1.0
"""Rows a second of a network that sees frame by frame, unless set."""

_RATE = re.compile(r"(.+)@(\d+(?:\.\d+)?)fps")


@dataclass(frozen=True)
class EncoderName:
    """An encoder's name taken apart."""

    text: str
    kind: Literal["torchvision", "clip", "vidla"]
    image: str | None = None
    """Torchvision's network for pictures."""
    video: str | None = None
    """Torchvision's network for clips."""
    fps: float | None = None
    """Frames a second that a network for clips sees; None where there is none."""
    weights: str = ""
    """What names the weights of a CLIP or a VidLA model."""

    @property
    def networks(self) -> tuple[str, ...]:
        """Torchvision's names of the networks it joins."""
        return tuple(name for name in (self.image, self.video) if name)

    @property
    def folder(self) -> str:
        """The name as a folder may have it."""
        return re.sub(r"[^A-Za-z0-9_+@.]+", "-", self.text).strip("-.")[-80:]

    def at(self, fps: float) -> str:
        """The same encoder's name at another rate."""
        return f"{self.text.partition('@')[0]}@{fps:g}fps"

    @classmethod
    def parse(cls, text: str) -> EncoderName:
        """Take a name apart.

        Raises:
            ValueError: no such encoder; the message says which there are.
        """
        kind, _, weights = text.partition(":")
        if kind in ("clip", "vidla"):
            if not weights:
                example = "clip:ViT-B-32:openai" if kind == "clip" else "vidla:path:///run/best"
                raise ValueError(f"name the weights, as in {example}")
            return cls(text, "clip" if kind == "clip" else "vidla", weights=weights)
        return _torchvision(text)


class EncoderSettings(Settings):
    """An encoder of visual features."""

    encoder: str
    """NET[+NET][@FPSfps] of torchvision, clip:WEIGHTS, or vidla:FOLDER."""
    weights: str | dict[str, str] = "default"
    """Of torchvision's networks: `default` (torchvision's own), path:///file, hf://org/name, or `random` (for tests);
    one for all, or by network (``weights.resnet152=path:///…``)."""
    fps: float | None = Field(default=None, gt=0, le=120)
    """Rows a second of an encoder that sees frame by frame; None: 1."""
    seconds_per_row: float = Field(default=4.0, gt=0)
    """Length of the windows that a VidLA model sees, one row each."""
    batch_size: Runtime[int] = Field(default=64, ge=1)
    """Frames through a network at once."""
    device: Runtime[str | None] = None
    """``cpu``, ``cuda``; None: a GPU where the worker has one."""

    @field_validator("encoder")
    @classmethod
    def _known(cls, text: str) -> str:
        EncoderName.parse(text)
        return text

    @model_validator(mode="after")
    def _fits(self) -> EncoderSettings:
        parsed = self.parsed
        if self.fps is not None and (parsed.fps is not None or parsed.kind == "vidla"):
            how = f"encoder={parsed.at(self.fps)}" if parsed.fps is not None else "seconds_per_row"
            raise ValueError(f"fps={self.fps:g}: encoder={self.encoder!r} does not see frame by frame; set {how}")
        if parsed.kind != "torchvision" and self.weights != "default":
            raise ValueError(f"weights: encoder={self.encoder!r} names its own; leave weights out")
        foreign = [] if isinstance(self.weights, str) else sorted(set(self.weights) - set(parsed.networks))
        if foreign:
            raise ValueError(f"weights.{foreign[0]}: encoder={self.encoder!r} has no such network")
        return self

    @property
    def parsed(self) -> EncoderName:
        """The encoder's name taken apart."""
        return EncoderName.parse(self.encoder)

    def located(self) -> EncoderSettings:
        """The same with a folder by its full path: workers may run in another folder."""
        parsed = self.parsed
        if parsed.kind != "vidla" or "://" in parsed.weights or parsed.weights.startswith("random:"):
            return self
        return self.model_copy(update={"encoder": f"vidla:path://{quote(str(Path(parsed.weights).resolve()))}"})

    def weights_of(self, network: str) -> str:
        """What names the weights of one of torchvision's networks."""
        return self.weights if isinstance(self.weights, str) else self.weights.get(network, "default")


def _torchvision(text: str) -> EncoderName:
    rate = _RATE.fullmatch(text)
    networks = (rate[1] if rate else text).split("+")
    known = (*IMAGE_NETWORKS, *VIDEO_NETWORKS, "clip:ARCHITECTURE:TAG", "vidla:FOLDER")
    for name in networks:
        if name not in IMAGE_NETWORKS + VIDEO_NETWORKS:
            raise ValueError(f"no encoder {name!r}{nearest(name, known)}")
    image = [name for name in networks if name in IMAGE_NETWORKS]
    video = [name for name in networks if name in VIDEO_NETWORKS]
    if len(image) > 1 or len(video) > 1 or networks != image + video:
        raise ValueError("join one network for pictures with one for clips, in this order: resnet152+r2plus1d_18")
    if rate and not video:
        raise ValueError(f"a rate is of a network for clips; for {image[0]} set fps")
    fps = float(rate[2]) if rate else PAPER_FPS
    if not 0 < fps <= 120:
        raise ValueError("a rate lies above 0 and is at most 120 frames a second")
    return EncoderName(text, "torchvision", next(iter(image), None), next(iter(video), None), fps if video else None)
