"""The kinds of encoders, by the prefix of their names. A new kind is one file and one line here.

`training.features.features_worker` streams the frames of a root through the encoder that `open_encoder` builds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from training.features.encoders.clip_image_encoder import ClipImageEncoder
from training.features.encoders.encoder_kind import EncoderName
from training.features.encoders.torchvision_encoder import TorchvisionEncoder
from training.features.encoders.vidla_encoder import VidlaEncoder

if TYPE_CHECKING:
    from training.features.encoders.encoder_interface import Encoder
    from training.features.encoders.encoder_settings import EncoderSettings

KINDS: Final[tuple[type[EncoderName], ...]] = (ClipImageEncoder, VidlaEncoder, TorchvisionEncoder)


def parse_encoder(text: str) -> EncoderName:
    """Parse the name of an encoder with the kind that its prefix names.

    Raises:
        ValueError: there is no such encoder; the message lists the valid names.
    """
    prefix = text.partition(":")[0] if ":" in text else ""
    kind = next((kind for kind in KINDS if kind.prefix == prefix), None)
    if kind is None:
        raise ValueError(f"no encoder {text!r}; its name is one of {', '.join(kind.usage for kind in KINDS)}")
    return kind.parse(text)


def open_encoder(settings: EncoderSettings, device: str | None = None) -> Encoder:
    """Build the encoder that `settings` name, with its weights.

    Args:
        settings: of the encoder.
        device: of the networks; None: the setting `device`, otherwise a GPU if there is one.

    Raises:
        UserError: the weights are missing or don't fit; the message gives the remedy.
    """
    import torch

    asked = device or settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return settings.parsed.open(settings, torch.device(asked))
