"""The registry of encoders: a new kind is one class and one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pytest
import torch

from runtime.errors import UserError
from runtime.settings import build
from training.data.decoding.frame_sampling import Frame
from training.features.encoders import encoder_registry
from training.features.encoders.encoder_interface import Encoder, Rows
from training.features.encoders.encoder_kind import EncoderContent, EncoderName
from training.features.encoders.encoder_registry import KINDS, open_encoder
from training.features.encoders.encoder_settings import EncoderSettings
from training.features.encoders.row_encoders import centres


class MeanColour:
    """One row per frame: its mean colour."""

    width, frames_per_row, short_side, fps = 3, 1, 8, 1.0

    def __init__(self, name: str) -> None:
        self.name = name

    def frames(self, seconds: float) -> int:
        """Return one frame per second."""
        return max(1, round(seconds))

    def encode(self, frames: Iterator[Frame], seconds: float) -> Rows:
        """Return the mean colours."""
        rows = np.stack([frame.reshape(-1, 3).mean(0) for frame in frames]).astype(np.float32)
        return Rows(rows, centres(len(rows), seconds))


@dataclass(frozen=True)
class MeanEncoder(EncoderName):
    """The name `mean:SPACE`."""

    prefix: ClassVar[str] = "mean"
    usage: ClassVar[str] = "mean:SPACE"

    space: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """See `EncoderName.parse`."""
        return cls(text, text.partition(":")[2])

    def check(self, settings: EncoderSettings) -> None:
        """See `EncoderName.check`."""
        if self.space != "rgb":
            raise ValueError(f"encoder={self.text!r}: only mean:rgb")

    def content(self, settings: EncoderSettings) -> EncoderContent:
        """See `EncoderName.content`."""
        return EncoderContent(self.text)

    def revisions(self, settings: EncoderSettings) -> list[str]:
        """See `EncoderName.revisions`."""
        return ["1"]

    def open(self, settings: EncoderSettings, device: torch.device) -> Encoder:
        """See `EncoderName.open`."""
        return MeanColour(self.text)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The new kind in the registry."""
    monkeypatch.setattr(encoder_registry, "KINDS", (*KINDS, MeanEncoder))


def settings(encoder: str) -> EncoderSettings:
    return build(EncoderSettings, {"encoder": encoder}, "features")


@pytest.mark.usefixtures("registered")
def test_a_registered_kind_is_parsed_identified_and_opened() -> None:
    asked = settings("mean:rgb")
    assert asked.identity and asked.parsed.folder == "mean-rgb"
    rows = open_encoder(asked, "cpu").encode(iter([np.full((8, 8, 3), 7, np.uint8)] * 2), 2.0)
    assert rows.features_ND.tolist() == [[7.0] * 3] * 2


@pytest.mark.usefixtures("registered")
def test_a_registered_kind_checks_its_own_settings() -> None:
    with pytest.raises(UserError, match="only mean:rgb"):
        settings("mean:hsv")


def test_an_unknown_prefix_is_refused_with_the_known_kinds() -> None:
    with pytest.raises(UserError, match=r"no encoder 'mean:rgb'; its name is one of clip:ARCHITECTURE:TAG, vidla:FOLD"):
        settings("mean:rgb")
