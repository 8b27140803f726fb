"""Settings of one set of visual features; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, model_validator

from runtime.ray_runner.stage import PoolSettings
from runtime.settings import Runtime
from training.features.encoders.encoder_settings import EncoderSettings

RATE_SLACK: Final = 0.99
"""Share of an encoder's frames per second that stored roots must have: stored rates are rounded."""


class FeaturesSettings(EncoderSettings):
    """One set of visual features."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_+@][A-Za-z0-9_+@.-]{0,79}$")
    """Folder of the set in ``DIR/features``. None: the encoder's name."""
    video: str = Field(default="shards", pattern="^(shards|original)$")
    """Videos to decode: the stored roots (``shards``), or the files they were cut from (``original``), which the
    paper's 24 frames per second need."""
    originals: Runtime[Path | None] = None
    """Folder with the original files of sources that are URLs."""
    selection: Runtime[str | None] = None
    """Selection: only roots with a clip that it keeps are encoded. None: all roots."""
    pool: Runtime[PoolSettings | None] = None
    """Workers. None: one per GPU, or one per CPU core."""

    @model_validator(mode="after")
    def _agree(self) -> FeaturesSettings:
        if self.originals is not None and self.video != "original":
            raise ValueError(f"originals={self.originals}: only read with video=original; set both or neither")
        if self.device is not None and self.device.startswith("cuda") and self.pool is not None and not self.pool.gpus:
            raise ValueError(f"device={self.device}: pool.gpus is 0; set pool.gpus=1, or leave device out")
        return self

    @property
    def set_name(self) -> str:
        """Name of the set."""
        return self.name or self.parsed.folder
