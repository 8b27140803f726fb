"""The encoder `vidla:FOLDER`: the video tower of a trained VidLA model, window by window.

vidla:runs/first/best        the folder of an export
vidla:path:///run/best       a model URI of one; also vidla:hf://org/name
vidla:random:tiny            random weights, for tests
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import quote

from runtime.errors import UserError
from runtime.models import model_uri
from training.features.encoders.encoder_kind import EncoderContent, EncoderName, refuse_weights

if TYPE_CHECKING:
    import torch

    from training.features.encoders.encoder_interface import Encoder
    from training.features.encoders.encoder_settings import EncoderSettings


@dataclass(frozen=True)
class VidlaEncoder(EncoderName):
    """The name `vidla:FOLDER`."""

    prefix: ClassVar[str] = "vidla"
    usage: ClassVar[str] = "vidla:FOLDER"

    weights: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """See `EncoderName.parse`."""
        weights = text.partition(":")[2]
        if not weights:
            raise ValueError("name the weights, as in vidla:path:///run/best")
        return cls(text, weights)

    def check(self, settings: EncoderSettings) -> None:
        """See `EncoderName.check`."""
        if settings.fps is not None:
            raise ValueError(
                f"fps={settings.fps:g}: encoder={self.text!r} does not encode single frames; set seconds_per_row"
            )
        refuse_weights(settings)

    def located(self) -> str:
        """See `EncoderName.located`."""
        if "://" in self.weights or self._random:
            return self.text
        return f"vidla:path://{quote(str(Path(self.weights).resolve()))}"

    def lower_rate(self, fps: float, frames_per_row: int) -> str:
        """See `EncoderName.lower_rate`."""
        return f"seconds_per_row={math.ceil(100 * frames_per_row / fps) / 100:g}"

    def content(self, settings: EncoderSettings) -> EncoderContent:
        """See `EncoderName.content`."""
        return EncoderContent(self.prefix, seconds_per_row=settings.seconds_per_row)

    def revisions(self, settings: EncoderSettings) -> list[str]:
        """See `EncoderName.revisions`."""
        return [self.weights if self._random else model_uri.revision_of(self.address())]

    def open(self, settings: EncoderSettings, device: torch.device) -> Encoder:
        """See `EncoderName.open`."""
        from training.features.encoders.clip_towers import VidlaTower
        from training.features.encoders.row_encoders import PerWindow

        return PerWindow(settings, VidlaTower(self.weights if self._random else self.address(), device))

    def address(self) -> str:
        """Return the model URI of the weights, which may be named by a plain folder.

        Raises:
            UserError: there is no such folder.
        """
        if "://" in self.weights:
            return self.weights
        folder = Path(self.weights)
        if not folder.is_dir():
            raise UserError(f"encoder={self.text!r}: there is no such folder; name the folder of an export (RUN/best)")
        return f"path://{quote(str(folder.resolve()))}"

    @property
    def _random(self) -> bool:
        return self.weights.startswith("random:")
