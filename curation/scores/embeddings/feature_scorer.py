"""Vectors of clips from visual features that exist already (`train-vidlankd features`): nothing is decoded.

The rows of a root that are in a clip's time are averaged. Texts are compared with them if the features were made by the
image tower of the same model (encoder `clip:MODEL`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from curation.scores.embeddings.embedding_settings import EmbeddingSettings
from curation.scores.embeddings.row_pooling import mean_direction
from curation.scores.embeddings.shard_match import with_match
from curation.scores.embeddings.stored_features import ShardFeatures, check_features, read_features
from curation.scores.embeddings.tower_scorer import rows_of, text_vectors
from curation.scores.scorer import ScoredClip, Scorer, ScoreResources, ShardRows, Value

if TYPE_CHECKING:
    from curation.engines.models.image_text_model import ImageTextModel

_SHARDS_HELD = 2


class FeatureScorer(Scorer[Any]):
    """The scorer that reads a feature set; the model is loaded for texts alone."""

    def __init__(self, settings: EmbeddingSettings) -> None:
        """Load the model of texts.

        Raises:
            UserError: no such model, or not one of open_clip.
        """
        self._settings = settings
        self._model: ImageTextModel | None = None
        if settings.text:
            from curation.engines.models.image_text_model import ImageTextModel

            self._model = ImageTextModel(settings.model, settings.device)

    def start(self, resources: ScoreResources) -> None:
        """See `Scorer.start`.

        Raises:
            UserError: the DIR has no such set, it lacks shards, or it is of another model than that of the texts.
        """
        name, store = self._settings.features or "", resources.store
        self._width = check_features(store, name, self._settings.model if self._model is not None else None)
        self._read = lru_cache(_SHARDS_HELD)(lambda shard: read_features(store, name, shard))

    @property
    def widths(self) -> Mapping[str, int]:
        """The numbers in a vector."""
        return dict.fromkeys(self._settings.vector_columns, self._width)

    def score_all(self, clips: Sequence[ScoredClip[Any]]) -> Sequence[Mapping[str, Value]]:
        """Return the vectors of the clips of a root.

        Raises:
            ShardError: the shard's features are damaged, or were made from older media.
        """
        root = clips[0].row
        features: ShardFeatures = self._read(root["shard"])
        vectors = [mean_direction(features.rows(root["root_key"], clip.start, clip.end)) for clip in clips]
        texts = [None] * len(clips) if self._model is None else text_vectors(self._model, clips, self._settings)
        return rows_of(self._settings, vectors, texts)

    def complete(self, rows: Sequence[Mapping[str, Value]], shard: ShardRows) -> Sequence[Mapping[str, Value]]:
        """Return the rows of a shard with the match of each clip and its percentile."""
        return with_match(rows, shard.clips) if self._settings.text else rows
