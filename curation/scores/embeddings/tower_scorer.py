"""Vectors of clips and of their texts by a tower of open_clip.

Frames are turned into the network's input while a root is decoded; all frames of a root, which its nested clips share,
go through the network together, once.

Shapes: B frames or texts, D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curation.scores.embeddings.embedded_texts import clip_text
from curation.scores.embeddings.embedding_settings import EmbeddingSettings
from curation.scores.embeddings.row_pooling import mean_direction
from curation.scores.embeddings.shard_match import CLIP, TEXT, with_match
from curation.scores.scorer import Sampling, ScoredClip, Scorer, ShardRows, Value

if TYPE_CHECKING:
    import torch

    from curation.engines.models.image_text_model import ImageTextModel
    from curation.scores.root_frames import Frame


class TowerScorer(Scorer["torch.Tensor"]):
    """The scorer with a loaded model."""

    def __init__(self, settings: EmbeddingSettings) -> None:
        """Load the model.

        Raises:
            UserError: no such model, or not one of open_clip.
        """
        from curation.engines.models.image_text_model import ImageTextModel

        self._settings = settings
        self._model: ImageTextModel = ImageTextModel(settings.model, settings.device)
        self.sampling = Sampling(settings.frames_per_second)

    @property
    def widths(self) -> Mapping[str, int]:
        """The numbers in a vector."""
        return dict.fromkeys(self._settings.vector_columns, self._model.width)

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[torch.Tensor]:
        """Return the network's input for each frame."""
        return [self._model.input_of(frame.image) for frame in frames]

    def score_all(self, clips: Sequence[ScoredClip[torch.Tensor]]) -> Sequence[Mapping[str, Value]]:
        """Return the vectors of the clips of a root; match is filled in when the whole shard is known."""
        frames = {measure.time: measure.value for clip in clips for measure in clip.measures}
        row_of = dict(zip(frames, self._frames(list(frames.values())), strict=True))
        texts = text_vectors(self._model, clips, self._settings)
        clip_vectors = [mean_direction([row_of[measure.time] for measure in clip.measures]) for clip in clips]
        return rows_of(self._settings, clip_vectors, texts)

    def complete(self, rows: Sequence[Mapping[str, Value]], shard: ShardRows) -> Sequence[Mapping[str, Value]]:
        """Return the rows of a shard with the match of each clip and its percentile."""
        return with_match(rows, shard.clips) if self._settings.text else rows

    def _frames(self, inputs: Sequence[torch.Tensor]) -> list[NDArray[np.float32]]:
        batch = self._settings.batch
        parts = [self._model.vectors(inputs[first : first + batch]) for first in range(0, len(inputs), batch)]
        return [row_D for part_BD in parts for row_D in part_BD]


def text_vectors(
    model: ImageTextModel, clips: Sequence[ScoredClip[torch.Tensor]], settings: EmbeddingSettings
) -> list[NDArray[np.float32] | None]:
    """Return the vector of each clip's text; None for a clip without a text. Equal texts go through the model once."""
    texts = [clip_text(clip.text, settings.text) for clip in clips]
    distinct = list(dict.fromkeys(text for text in texts if text is not None))
    vector_of = dict(zip(distinct, model.texts(distinct), strict=True)) if distinct else {}
    return [None if text is None else vector_of[text] for text in texts]


def rows_of(
    settings: EmbeddingSettings,
    clips: Sequence[NDArray[np.float32] | None],
    texts: Sequence[NDArray[np.float32] | None],
) -> list[dict[str, Value]]:
    """Return a row for each clip with its vectors, and without a match yet."""
    named = [{CLIP: clip, TEXT: text} for clip, text in zip(clips, texts, strict=True)]
    return [settings.nothing() | {name: row[name] for name in settings.vector_columns} for row in named]
