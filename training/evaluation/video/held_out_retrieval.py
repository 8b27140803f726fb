"""Retrieval on the held-out split of the training shards: the scores that select a run's best checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from runtime.errors import UserError, nearest
from runtime.log import get_logger
from training.data.data_settings import DataSettings
from training.data.order.frame_buckets import FrameBuckets
from training.engine.parallel.distributed import Ranks
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet
from training.evaluation.benchmarks.retrieval.shards_benchmark import read
from training.evaluation.video.embeddings import EmbeddingOptions, embed
from training.evaluation.video.evaluation_settings import EvaluationSettings
from training.evaluation.video.retrieval_scores import retrieval_scores
from training.models.vidla.model_settings import LossSettings
from training.models.vidla.two_tower import VidLA

_log = get_logger(__name__)


class HeldOutRetrieval:
    """The held-out clips of a run, read once and scored as often as asked."""

    def __init__(self, clips: RetrievalSet, options: EmbeddingOptions, ranks: Ranks) -> None:
        self._clips = clips
        self._options = options
        self._ranks = ranks

    def __len__(self) -> int:
        return len(self._clips.items)

    @classmethod
    def of(
        cls, data: DataSettings, loss: LossSettings, settings: EvaluationSettings, frames: int, ranks: Ranks
    ) -> HeldOutRetrieval | None:
        """Read the clips of split ``val`` that have texts of the term; return None (and warn) if there are none.

        Raises:
            UserError: no such term, or a column that holds no text.
            ShardError: the shards can't be read.
        """
        if settings.max_clips == 0 or data.source != "shards":
            return None
        columns = loss.columns_by_term
        term = settings.term or list(columns)[-1]
        if term not in columns:
            raise UserError(f"evaluation.term={term}: no such term{nearest(term, columns)}")
        layer = max(data.layers, key=data.layers.__getitem__) if data.layers else None
        try:
            clips = read(
                data.shards,
                columns[term],
                layer=layer,
                selection=data.selection,
                clips=settings.clips,
                limit=settings.max_clips,
            )
        except UserError as nothing:
            _log.warning("no scores while training: %s", nothing)
            return None
        buckets = FrameBuckets.of(data)
        options = EmbeddingOptions(frames, settings.batch_size, data.workers or 2, snap=True, buckets=buckets)
        return cls(clips, options, ranks)

    def score(self, model: VidLA) -> Mapping[str, float]:
        """Return `score_held_out` of the clips; collective."""
        return score_held_out(model, self._clips, self._options, self._ranks)


def score_held_out(
    model: VidLA, held_out: RetrievalSet, options: EmbeddingOptions, ranks: Ranks | None = None
) -> dict[str, float]:
    """Score retrieval on held-out clips; a clip that can't be decoded is left out together with its texts.

    Args:
        model: the model, in evaluation mode, under the autocast to use.
        held_out: clips and texts.
        options: frames and batches, as in training.
        ranks: ranks of this job; the call is collective, and all get the same scores.

    Returns:
        The values of `retrieval_scores`, and `clips` (number scored) and `clips_failed`; `{}` if no clip could be
        decoded.
    """
    embeddings = embed(model, held_out, options, ranks)
    present_N = embeddings.present_N
    renumbered_N = present_N.cumsum(0) - 1
    owner_M = torch.tensor(held_out.owner)
    asked_M = present_N[owner_M]
    if not bool(asked_M.any()):
        return {}
    scores = retrieval_scores(
        embeddings.video_ND[present_N], embeddings.text_MD[asked_M], renumbered_N[owner_M[asked_M]]
    )
    return scores | {"clips": float(present_N.sum()), "clips_failed": float(len(embeddings.absent))}
