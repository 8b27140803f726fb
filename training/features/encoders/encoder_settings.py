"""Settings of an encoder of visual features; nothing here imports torch or loads a network."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from runtime.settings import Runtime, Settings
from training.engine.engine_settings import check_device
from training.features.encoders.encoder_kind import EncoderName
from training.features.encoders.encoder_registry import parse_encoder


class EncoderSettings(Settings):
    """An encoder of visual features."""

    encoder: str
    """NET[+NET][@FPSfps] of torchvision, clip:WEIGHTS, or vidla:FOLDER."""
    weights: str | dict[str, str] = "default"
    """Weights of torchvision's networks: `default` (torchvision's own), path:///file, hf://org/name, or `random` (for
    tests); one for all, or by network (``weights.resnet152=path:///…``)."""
    fps: float | None = Field(default=None, gt=0, le=120)
    """Rows per second of an encoder of single frames. None: 1."""
    seconds_per_row: float = Field(default=4.0, gt=0)
    """Length of the windows of a VidLA model; one row each."""
    batch_size: Runtime[int] = Field(default=64, ge=1)
    """Frames that go through a network at once."""
    device: Runtime[str | None] = None
    """``cpu`` or ``cuda``. None: a GPU if the worker has one."""

    @field_validator("encoder")
    @classmethod
    def _known(cls, text: str) -> str:
        parse_encoder(text)
        return text

    @field_validator("device")
    @classmethod
    def _known_device(cls, name: str | None) -> str | None:
        return check_device(name)

    @model_validator(mode="after")
    def _fits(self) -> EncoderSettings:
        self.parsed.check(self)
        return self

    @property
    def parsed(self) -> EncoderName:
        """The encoder's name, parsed."""
        return parse_encoder(self.encoder)

    @property
    def identity(self) -> str:
        """Content hash over the settings that decide the output and the revisions of the weights.

        Raises:
            UserError: there are no such weights.
        """
        return self.parsed.identity(self)

    def located(self) -> EncoderSettings:
        """Return the same settings with full paths: workers may run in another folder."""
        return self.model_copy(update={"encoder": self.parsed.located()})

    def weights_of(self, network: str) -> str:
        """Return the weights that are set for one of torchvision's networks."""
        return self.weights if isinstance(self.weights, str) else self.weights.get(network, "default")
