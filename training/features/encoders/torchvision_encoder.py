"""Encoders of torchvision's networks, alone or joined: `NET`, `NET+NET`, `NET+NET@RATEfps`.

resnet152+r2plus1d_18         the paper's: an ImageNet network at 1 row per second, joined with a Kinetics network
that takes 24 frames per second
resnet152+r2plus1d_18@8fps    the same at another rate, which is that of curated shards
resnet152                     one of the two alone
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Self

from runtime.errors import nearest
from training.features.encoders.encoder_kind import IMAGE_FPS, EncoderContent, EncoderName

if TYPE_CHECKING:
    import torch

    from training.features.encoders.encoder_interface import Encoder
    from training.features.encoders.encoder_settings import EncoderSettings

IMAGE_NETWORKS: Final = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""Torchvision's networks for single frames, trained on ImageNet."""
VIDEO_NETWORKS: Final = (
    *("r2plus1d_18", "r3d_18", "mc3_18", "s3d", "mvit_v1_b", "mvit_v2_s"),
    *("swin3d_t", "swin3d_s", "swin3d_b"),
)
"""Torchvision's networks for clips, trained on Kinetics-400."""
PAPER_FPS: Final = 24.0
"""Frames per second that the paper's video network takes."""
_MOST_FPS: Final = 120.0
_RATE = re.compile(r"(.+)@(\d+(?:\.\d+)?)fps")


@dataclass(frozen=True)
class TorchvisionEncoder(EncoderName):
    """The name of one of torchvision's networks, or of a network for frames joined with one for clips."""

    prefix: ClassVar[str] = ""
    usage: ClassVar[str] = "NET[+NET][@FPSfps]"

    image: str | None
    """Torchvision's network for single frames."""
    video: str | None
    """Torchvision's network for clips."""
    rate: float | None
    """Frames per second that the network for clips takes; None if there is no such network."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """See `EncoderName.parse`."""
        rate = _RATE.fullmatch(text)
        networks = (rate[1] if rate else text).split("+")
        image = [name for name in networks if name in IMAGE_NETWORKS]
        video = [name for name in networks if name in VIDEO_NETWORKS]
        _check_networks(networks, image, video)
        if rate and not video:
            raise ValueError(f"only a network for clips takes a rate in its name; for {image[0]} set fps")
        fps = float(rate[2]) if rate else PAPER_FPS
        if not 0 < fps <= _MOST_FPS:
            raise ValueError(f"the rate must be above 0 and at most {_MOST_FPS:g} frames per second")
        return cls(text, next(iter(image), None), next(iter(video), None), fps if video else None)

    @property
    def fps(self) -> float | None:
        """Frames per second that the network for clips takes."""
        return self.rate

    @property
    def networks(self) -> tuple[str, ...]:
        """Torchvision's names of the networks."""
        return tuple(name for name in (self.image, self.video) if name)

    def at(self, fps: float) -> str:
        """Return the name of the same encoder at another rate."""
        return f"{self.text.partition('@')[0]}@{fps:g}fps"

    def check(self, settings: EncoderSettings) -> None:
        """See `EncoderName.check`."""
        if settings.fps is not None and self.video:
            raise ValueError(
                f"fps={settings.fps:g}: encoder={self.text!r} does not only encode single frames; set "
                f"encoder={self.at(settings.fps)}"
            )
        foreign = [] if isinstance(settings.weights, str) else sorted(set(settings.weights) - set(self.networks))
        if foreign:
            raise ValueError(f"weights.{foreign[0]}: encoder={self.text!r} has no such network")

    def lower_rate(self, fps: float, frames_per_row: int) -> str:
        """See `EncoderName.lower_rate`."""
        return f"encoder={self.at(fps)}"

    def content(self, settings: EncoderSettings) -> EncoderContent:
        """See `EncoderName.content`."""
        return EncoderContent(self.text, fps=(settings.fps or IMAGE_FPS) if self.image else None)

    def revisions(self, settings: EncoderSettings) -> list[str]:
        """See `EncoderName.revisions`."""
        from training.features.encoders.torchvision_networks import weights_revision

        return [weights_revision(name, settings.weights_of(name)) for name in self.networks]

    def open(self, settings: EncoderSettings, device: torch.device) -> Encoder:
        """See `EncoderName.open`."""
        from training.features.encoders.row_encoders import JoinedEncoder, PerChunk, PerFrame
        from training.features.encoders.torchvision_networks import ClipNetwork, ImageNetwork

        frames, chunks = None, None
        if self.image:
            frames = PerFrame(settings, ImageNetwork(self.image, settings.weights_of(self.image), device))
        if self.video:
            chunks = PerChunk(settings, ClipNetwork(self.video, settings.weights_of(self.video), device))
        if frames and chunks:
            return JoinedEncoder(settings, frames, chunks)
        alone = frames or chunks
        assert alone, "a name has one network at least"
        return alone


def _check_networks(networks: Sequence[str], image: Sequence[str], video: Sequence[str]) -> None:
    """Refuse unknown networks, and any join but one network for frames with one for clips."""
    for name in networks:
        if name not in IMAGE_NETWORKS + VIDEO_NETWORKS:
            raise ValueError(f"no encoder {name!r}{nearest(name, (*IMAGE_NETWORKS, *VIDEO_NETWORKS))}")
    if len(image) > 1 or len(video) > 1 or list(networks) != [*image, *video]:
        raise ValueError("join one network for pictures with one for clips, in this order: resnet152+r2plus1d_18")
