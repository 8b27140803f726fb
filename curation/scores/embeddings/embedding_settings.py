"""Settings of the vectors of clips and of their texts, and of their match. Nothing here loads a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import Field, field_validator

from curation.scores.embeddings.shard_match import CLIP, TEXT
from curation.scores.scorer import Column, ScoreColumn, VectorColumn
from runtime.settings import Runtime, Settings
from shards.schema import TEXT as TEXT_SCHEMA
from shards.scores.match import MATCH, PERCENTILE


class EmbeddingSettings(Settings):
    """Vectors of clips and texts by an image–text model of open_clip."""

    model: str = "hf://timm/ViT-B-16-SigLIP2"
    """Model URI of a folder with an image–text model of open_clip."""
    frames_per_second: float = Field(default=1.0, gt=0, le=60)
    """Frames a second whose vectors are averaged; up to 1, only keyframes are decoded."""
    text: tuple[str, ...] = ("grounded_text", "caption")
    """Text columns: a clip's text is the first that is not empty. []: no vectors of texts, and no match."""
    batch: Runtime[int] = Field(default=32, ge=1)
    """Frames in one forward pass."""
    device: Runtime[str] = "cpu"
    """Device of the network: `cpu`, `cuda`."""

    @field_validator("text")
    @classmethod
    def _are_texts(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        known = [field.name for field in TEXT_SCHEMA if field.type == pa.string()]
        for column in columns:
            if column not in known:
                raise ValueError(f"{column!r}: not a column with text (there are: {', '.join(known)})")
        return columns

    def columns(self) -> Sequence[Column]:
        """Return the columns: vectors, and the match of each clip with its text."""
        clip = VectorColumn(CLIP, "the mean of its frames' vectors, of length 1", self.model)
        if not self.text:
            return [clip]
        return [
            clip,
            VectorColumn(TEXT, "the vector of its text, of length 1", self.model),
            ScoreColumn(MATCH, "cosine of clip and text", low=-1, high=1),
            ScoreColumn(PERCENTILE, "share of mismatched pairs of its shard that match less", low=0, high=1),
        ]

    def models(self) -> Mapping[str, str]:
        """Return the URI of the model."""
        return {"model": self.model}

    def nothing(self) -> dict[str, Any]:
        """Return a row without values."""
        return dict.fromkeys(column.name for column in self.columns())
