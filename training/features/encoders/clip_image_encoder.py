"""The encoder `clip:WEIGHTS`: a CLIP image tower, frame by frame.

    clip:ViT-B-32:openai     an open_clip architecture with one of its tags
    clip:hf://org/name       a model URI; also clip:path:///folder
    clip:random:tiny         random weights, for tests

Weights are named as for `train-vidla --init` (`training.models.vidla.initial_weights`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from runtime.models import model_uri
from runtime.settings import content_hash
from training.features.encoders.encoder_kind import IMAGE_FPS, EncoderContent, EncoderName, refuse_weights

if TYPE_CHECKING:
    import torch

    from training.features.encoders.encoder_interface import Encoder
    from training.features.encoders.encoder_settings import EncoderSettings


@dataclass(frozen=True)
class ClipImageEncoder(EncoderName):
    """The name `clip:WEIGHTS`."""

    prefix: ClassVar[str] = "clip"
    usage: ClassVar[str] = "clip:ARCHITECTURE:TAG"

    weights: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """See `EncoderName.parse`."""
        weights = text.partition(":")[2]
        if not weights:
            raise ValueError("name the weights, as in clip:ViT-B-32:openai")
        return cls(text, weights)

    def check(self, settings: EncoderSettings) -> None:
        """See `EncoderName.check`."""
        refuse_weights(settings)

    def content(self, settings: EncoderSettings) -> EncoderContent:
        """See `EncoderName.content`."""
        return EncoderContent(self.prefix, fps=settings.fps or IMAGE_FPS)

    def revisions(self, settings: EncoderSettings) -> list[str]:
        """See `EncoderName.revisions`."""
        if "://" in self.weights:
            return [model_uri.revision_of(self.weights)]
        if self.weights.startswith("random:"):
            return [self.weights]
        from open_clip import pretrained as tags

        from training.models.vidla.model_settings import ModelSettings

        architecture, _, tag = self.weights.rpartition(":")
        name = (architecture or ModelSettings().architecture).removesuffix("-quickgelu")
        return [content_hash(name, tags.get_pretrained_cfg(name, tag))]

    def open(self, settings: EncoderSettings, device: torch.device) -> Encoder:
        """See `EncoderName.open`."""
        from training.features.encoders.clip_towers import ClipImageTower
        from training.features.encoders.row_encoders import PerFrame

        return PerFrame(settings, ClipImageTower(self.weights, device))
