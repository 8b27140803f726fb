"""The base of every kind of encoder: it parses the encoder's name, checks its settings, and builds it.

A new kind is one file with a subclass of `EncoderName`, and one line in `encoder_registry`. Such a file must not
import torch at its top: commands parse names and print settings without it. `open` and `revisions` import what they
need.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

from runtime.settings import content_hash

if TYPE_CHECKING:
    import torch

    from training.features.encoders.encoder_interface import Encoder
    from training.features.encoders.encoder_settings import EncoderSettings

VERSION: Final = 1
"""Increase it when the same weights and settings give other features."""
IMAGE_FPS: Final = 1.0
"""Rows per second of an encoder of single frames, unless set."""


class EncoderContent(NamedTuple):
    """The settings that decide the output of an encoder, apart from its weights."""

    name: str
    """The name, without the address of the weights."""
    fps: float | None = None
    """Rows per second of an encoder of single frames."""
    seconds_per_row: float | None = None
    """Length of the windows of an encoder of windows."""


@dataclass(frozen=True)
class EncoderName(ABC):
    """The name of an encoder, parsed."""

    prefix: ClassVar[str]
    """The name starts with it and a colon; empty for the kind of all other names."""
    usage: ClassVar[str]
    """Form of the names of this kind, for messages."""

    text: str
    """The name as the user gave it."""

    @classmethod
    @abstractmethod
    def parse(cls, text: str) -> Self:
        """Parse a name of this kind.

        Raises:
            ValueError: there is no such encoder; the message lists the valid names.
        """

    @property
    def fps(self) -> float | None:
        """Frames per second that the name asks for; None if it names no rate."""
        return None

    @property
    def folder(self) -> str:
        """The name with only those characters that a folder may have."""
        return re.sub(r"[^A-Za-z0-9_+@.]+", "-", self.text).strip("-.")[-80:]

    @abstractmethod
    def check(self, settings: EncoderSettings) -> None:
        """Refuse settings that don't fit this encoder.

        Raises:
            ValueError: the message names the setting and the remedy.
        """

    def located(self) -> str:
        """Return the name with full paths: workers may run in another folder."""
        return self.text

    def lower_rate(self, fps: float, frames_per_row: int) -> str:
        """Return the setting with which the encoder takes at most `fps` frames per second, for messages."""
        return f"fps={fps:g}"

    def identity(self, settings: EncoderSettings) -> str:
        """Return a content hash over the settings that decide the output and the revisions of the weights.

        Raises:
            UserError: there are no such weights.
        """
        return content_hash("encoder", VERSION, *self.content(settings), self.revisions(settings))

    @abstractmethod
    def content(self, settings: EncoderSettings) -> EncoderContent:
        """Return the settings that decide the output."""

    @abstractmethod
    def revisions(self, settings: EncoderSettings) -> list[str]:
        """Return what identifies the weights of each network, without fetching them.

        Raises:
            UserError: there are no such weights.
        """

    @abstractmethod
    def open(self, settings: EncoderSettings, device: torch.device) -> Encoder:
        """Build the encoder with its weights.

        Raises:
            UserError: the weights are missing or don't fit; the message gives the remedy.
        """


def refuse_weights(settings: EncoderSettings) -> None:
    """Refuse the setting `weights` for a kind whose name includes its weights.

    Raises:
        ValueError: the setting is given.
    """
    if settings.weights != "default":
        raise ValueError(f"weights: encoder={settings.encoder!r} names its own; leave weights out")
