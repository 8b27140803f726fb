"""The score `embedding`: vectors of clips and of their texts in one space by a tower of open_clip, and their match.

Frames are turned into the network's input while a root is decoded; all frames of a root, which its nested clips share,
go through the network together, once.

Shapes: B frames or texts, D numbers of a vector, N frames of a clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from curation.scores.embeddings.clip_texts import clip_text
from curation.scores.embeddings.embedding_settings import EmbeddingSettings
from curation.scores.embeddings.row_pooling import mean_direction
from curation.scores.embeddings.shard_match import CLIP, TEXT, with_match
from curation.scores.scorer import Sampling, ScoredClip, ScoreKind, Scorer, Value
from shards.stored_rows import StoredClip

if TYPE_CHECKING:
    import torch

    from curation.engines.image_text_model import ImageTextModel
    from curation.scores.root_frames import Frame


class EmbeddingScorer(Scorer["torch.Tensor"]):
    """The scorer with a loaded tower."""

    def __init__(self, settings: EmbeddingSettings) -> None:
        """Load the model.

        Raises:
            UserError: no such model, or not one of open_clip.
        """
        from curation.engines.image_text_model import ImageTextModel

        self._settings = settings
        self._model: ImageTextModel = ImageTextModel(settings.model, settings.device)
        self.sampling = Sampling(settings.frames_per_second)

    @property
    def widths(self) -> Mapping[str, int]:
        """The numbers in a vector."""
        return dict.fromkeys((CLIP, TEXT) if self._settings.text else (CLIP,), self._model.width)

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[torch.Tensor]:
        """Return the network's input for each frame."""
        return [self._model.input_of(frame.image) for frame in frames]

    def score_all(self, clips: Sequence[ScoredClip[torch.Tensor]]) -> Sequence[Mapping[str, Value]]:
        """Return the vectors of the clips of a root; match is filled in when the whole shard is known."""
        frames = {measure.time: measure.value for clip in clips for measure in clip.measures}
        row_of = dict(zip(frames, self._frames(list(frames.values())), strict=True))
        texts = [clip_text(clip.text, self._settings.text) for clip in clips]
        distinct = list(dict.fromkeys(text for text in texts if text is not None))
        text_of = dict(zip(distinct, self._model.texts(distinct), strict=True)) if distinct else {}
        rows = []
        for clip, text in zip(clips, texts, strict=True):
            row = self._settings.nothing()
            row[CLIP] = mean_direction([row_of[measure.time] for measure in clip.measures])
            if text is not None:
                row[TEXT] = text_of[text]
            rows.append(row)
        return rows

    def complete(
        self, rows: Sequence[Mapping[str, Value]], clips: Sequence[StoredClip]
    ) -> Sequence[Mapping[str, Value]]:
        """Return the rows of a shard with the match of each clip and its percentile."""
        return with_match(rows, [clip["video_id"] for clip in clips]) if self._settings.text else rows

    def _frames(self, inputs: Sequence[torch.Tensor]) -> list[NDArray[np.float32]]:
        batch = self._settings.batch
        parts = [self._model.vectors(inputs[first : first + batch]) for first in range(0, len(inputs), batch)]
        return [row_D for part_BD in parts for row_D in part_BD]


EMBEDDING: Final = ScoreKind(
    name="embedding",
    summary="Vectors of clips and of their texts by an image–text model, and how well they match.",
    settings=EmbeddingSettings,
    columns=EmbeddingSettings.columns,
    build=EmbeddingScorer,
    models=EmbeddingSettings.models,
    programs=("open_clip_torch", "torch"),
    needs_texts=lambda settings: bool(settings.text),
)
"""Vectors by a tower of open_clip."""
