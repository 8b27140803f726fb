"""Settings of the teacher and student models. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, model_validator

from runtime.errors import nearest
from runtime.settings import Settings
from training.models.vidlankd.text_tokenizer import DEFAULT_TOKENIZER

PRESETS: Final[Mapping[str, Mapping[str, int]]] = {
    "tiny": {"layers": 2, "hidden": 128, "heads": 2, "intermediate": 512},
    "mini": {"layers": 4, "hidden": 256, "heads": 4, "intermediate": 1024},
    "small": {"layers": 6, "hidden": 512, "heads": 8, "intermediate": 2048},
    "base": {"layers": 12, "hidden": 768, "heads": 12, "intermediate": 3072},
}
"""Shapes by name; `small` and `base` are the paper's."""


class BertShape(Settings):
    """Size of a BERT encoder, written as a name (`small`), as numbers, or as `preset: small` with other numbers."""

    layers: int = Field(default=12, ge=1)
    """Transformer layers."""
    hidden: int = Field(default=768, ge=1)
    """Width of the hidden states."""
    heads: int = Field(default=12, ge=1)
    """Attention heads; they divide `hidden`."""
    intermediate: int = Field(default=3072, ge=1)
    """Width of the feed-forward layers."""
    positions: int = Field(default=512, ge=1)
    """Tokens of the longest input."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of hidden states and of attention, in training."""

    @classmethod
    def named(cls, preset: str, **others: float) -> BertShape:
        """Return a shape of `PRESETS`, with some of its numbers replaced by `others`."""
        return cls.model_validate({"preset": preset, **others})

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:
        given = {"preset": values} if isinstance(values, str) else values
        if not isinstance(given, Mapping) or "preset" not in given:
            return values
        name = given["preset"]
        if name not in PRESETS:
            raise ValueError(f"preset={name!r}: no such shape{nearest(str(name), PRESETS)}")
        return {**PRESETS[name], **{key: value for key, value in given.items() if key != "preset"}}

    @model_validator(mode="after")
    def _heads_divide(self) -> BertShape:
        if self.hidden % self.heads:
            raise ValueError(f"hidden={self.hidden} is no multiple of heads={self.heads}; change one of them")
        return self


class StudentModelSettings(Settings):
    """Size of the student; its vocabulary is the corpus's."""

    shape: BertShape = BertShape()
    """Layers and widths, or the name of a preset (tiny, mini, small, base); need not be the teacher's."""


class TeacherModelSettings(Settings):
    """Size of the teacher; the defaults are the paper's."""

    shape: BertShape = BertShape()
    """Layers and widths, or the name of a preset (tiny, mini, small, base). The video tower has the same widths."""
    video_layers: int | None = Field(default=None, ge=1)
    """Layers of the video tower; unset: as many as the language model has."""
    max_rows: int = Field(default=384, ge=1)
    """Largest number of feature rows that the video tower sees; longer clips are sampled evenly."""
    projection: int = Field(default=1024, ge=1)
    """Width between the two linear layers that project features."""
    frozen_video: bool = False
    """Keep the video tower at its random weights, as the released code does."""
    tokenizer: str = DEFAULT_TOKENIZER
    """Model URI of the tokenizer; corpus and student must use the same."""
    block: int = Field(default=128, ge=3)
    """Largest number of tokens of a clip's text, [CLS] and [SEP] included; the same as in a student's blocks. The
    released code has 126, which leaves the last two positions of its students' blocks untrained."""

    @model_validator(mode="after")
    def _block_fits(self) -> TeacherModelSettings:
        if self.block > self.shape.positions:
            raise ValueError(
                f"block={self.block} is longer than shape.positions={self.shape.positions}; lower the first or raise "
                "the second"
            )
        return self
