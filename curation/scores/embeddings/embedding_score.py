"""The score `embedding`: vectors of clips and of their texts in one space, and how well they match."""

from __future__ import annotations

from typing import Any, Final

from curation.scores.embeddings.embedding_settings import ENGINE, EmbeddingSettings
from curation.scores.scorer import ScoreKind, Scorer


def build_scorer(settings: EmbeddingSettings) -> Scorer[Any]:
    """Build the scorer for what makes the vectors: a tower, an engine, or features.

    Raises:
        UserError: no such model, or not one of open_clip.
    """
    from curation.scores.embeddings.engine_scorer import EngineScorer
    from curation.scores.embeddings.feature_scorer import FeatureScorer
    from curation.scores.embeddings.tower_scorer import TowerScorer

    kinds = {"tower": TowerScorer, "engine": EngineScorer, "features": FeatureScorer}
    return kinds[settings.source](settings)


EMBEDDING: Final = ScoreKind(
    name="embedding",
    summary="Vectors of clips and of their texts by an image–text model, and how well they match.",
    settings=EmbeddingSettings,
    columns=EmbeddingSettings.columns,
    build=build_scorer,
    models=EmbeddingSettings.models,
    engines=EmbeddingSettings.engines,
    embedders=(ENGINE,),
    pictures=EmbeddingSettings.pictures,
    programs=("open_clip_torch", "torch"),
    needs_texts=lambda settings: bool(settings.text),
)
"""Vectors and their match."""
