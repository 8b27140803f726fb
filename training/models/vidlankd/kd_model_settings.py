"""Settings of the teacher's and the student's model. Nothing here imports torch."""

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
    """Longest input, tokens."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of hidden states and of attention, while training."""

    @classmethod
    def named(cls, preset: str, **others: float) -> BertShape:
        """A shape of `PRESETS`, with `others` in the place of its numbers."""
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
    """The student's size; its vocabulary is the corpus's."""

    shape: BertShape = BertShape()
    """Layers and widths, or the name of a preset (tiny, mini, small, base); need not be the teacher's."""


class TeacherModelSettings(Settings):
    """Size of the teacher; the paper's numbers."""

    shape: BertShape = BertShape()
    """Of the language model and, but for its depth, of the video tower: `tiny`, `mini`, `small`, `base`, or numbers."""
    video_layers: int | None = Field(default=None, ge=1)
    """Layers of the video tower; None: as many as the language model has."""
    max_rows: int = Field(default=384, ge=1)
    """Rows of features of a clip that the video tower sees; of longer clips as many, evenly spread."""
    projection: int = Field(default=1024, ge=1)
    """Width between the two linear layers that features go through first."""
    frozen_video: bool = False
    """Leave the video tower random, as the released code does; nothing of it is trained."""
    tokenizer: str = DEFAULT_TOKENIZER
    """URI of the vocabulary; corpus and student must have the same."""
    block: int = Field(default=128, ge=3)
    """Tokens of a clip's text, [CLS] and [SEP] included: as many as a student's blocks have. In the released code 126,
    which leaves the last two positions of its students' blocks untrained."""

    @model_validator(mode="after")
    def _block_fits(self) -> TeacherModelSettings:
        if self.block > self.shape.positions:
            raise ValueError(
                f"block={self.block} is longer than shape.positions={self.shape.positions}; lower the one or raise "
                "the other"
            )
        return self
