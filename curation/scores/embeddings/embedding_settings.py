"""Settings of the vectors of clips and of their texts, and of their match. Nothing here loads a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from curation.scores.embeddings.shard_match import CLIP, TEXT
from curation.scores.scorer import Column, ScoreColumn, VectorColumn
from runtime.settings import Runtime, Settings
from shards.schema import TEXT as TEXT_SCHEMA
from shards.scores.match import MATCH, PERCENTILE

ENGINE: Final = "engine"
"""Setting that names a pooling model."""


class EmbeddingSettings(Settings):
    """Vectors of clips and texts: by a tower of open_clip, by a pooling model, or from features that exist already."""

    model: str = "hf://timm/ViT-B-16-SigLIP2"
    """Model URI of a folder with an image–text model of open_clip."""
    engine: Runtime[str | None] = None
    """Pooling model, by its name under `engines` (`kind: vllm` with `engine: {runner: pooling}`); null: `model`."""
    features: str | None = None
    """Set of visual features of the DIR whose rows are averaged in place of decoding, `features/<name>`; with texts, a
    set of the encoder `clip:` of the same `model`. null: frames are decoded."""
    frames_per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames a second whose vectors are averaged; up to 1, only keyframes are decoded."""
    frames: int = Field(default=8, ge=1)
    """Frames of a clip that an engine is shown."""
    as_video: bool = True
    """Show an engine the frames as one video; false: as pictures, for models without video input."""
    instruction: str = "Represent the user's input."
    """System message of an engine's prompts."""
    text: tuple[str, ...] = ("grounded_text", "caption")
    """Text columns: a clip's text is the first that is not empty. []: no vectors of texts, and no match."""
    batch: Runtime[int] = Field(default=32, ge=1)
    """Frames in one forward pass of `model`."""
    device: Runtime[str] = "cpu"
    """Device of `model`: `cpu`, `cuda`."""

    @field_validator("text")
    @classmethod
    def _are_texts(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        known = [field.name for field in TEXT_SCHEMA if field.type == pa.string()]
        for column in columns:
            if column not in known:
                raise ValueError(f"{column!r}: not a column with text (there are: {', '.join(known)})")
        return columns

    @model_validator(mode="after")
    def _one_source(self) -> EmbeddingSettings:
        if self.engine is not None and self.features is not None:
            raise ValueError(f"engine={self.engine!r} and features={self.features!r} are both set; leave one")
        return self

    @property
    def source(self) -> Literal["tower", "engine", "features"]:
        """The source of the vectors of clips."""
        return "engine" if self.engine is not None else "tower" if self.features is None else "features"

    @property
    def uses_model(self) -> bool:
        """True if `model` is loaded: for the vectors of clips, of texts, or both."""
        return self.source == "tower" or (self.source == "features" and bool(self.text))

    def content(self) -> dict[str, Any]:
        """Return the settings that decide the vectors: those of what makes them."""
        ignored = {
            "tower": {"features", "frames", "as_video", "instruction"},
            "engine": {"model", "features", "frames_per_second"},
            "features": {"frames_per_second", "frames", "as_video", "instruction"},
        }[self.source]
        ignored |= set() if self.uses_model else {"model"}
        return {name: value for name, value in super().content().items() if name not in ignored}

    def columns(self) -> Sequence[Column]:
        """Return the columns: vectors, and the match of each clip with its text."""
        clip = VectorColumn(CLIP, "the mean of its frames' vectors, of length 1", self._maker)
        if not self.text:
            return [clip]
        return [
            clip,
            VectorColumn(TEXT, "the vector of its text, of length 1", self._maker),
            ScoreColumn(MATCH, "cosine of clip and text", low=-1, high=1),
            ScoreColumn(PERCENTILE, "share of mismatched pairs of its shard that match less", low=0, high=1),
        ]

    @property
    def vector_columns(self) -> tuple[str, ...]:
        """Names of the columns of vectors."""
        return (CLIP, TEXT) if self.text else (CLIP,)

    @property
    def _maker(self) -> str:
        """URI of the model that makes the vectors; `engine:NAME` or `features:NAME` where the settings name no URI."""
        if self.uses_model:
            return self.model
        return f"engine:{self.engine}" if self.source == "engine" else f"features:{self.features}"

    def models(self) -> Mapping[str, str]:
        """Return the URI of the model that is loaded."""
        return {"model": self.model} if self.uses_model else {}

    def engines(self) -> Mapping[str, str]:
        """Return the name of the engine by the setting that names it."""
        return {} if self.engine is None else {ENGINE: self.engine}

    def pictures(self) -> tuple[int, int]:
        """Return the most images and the most videos in one request."""
        return (0, 1) if self.as_video else (self.frames, 0)

    def nothing(self) -> dict[str, Any]:
        """Return a row without values."""
        return dict.fromkeys(column.name for column in self.columns())
