"""Retrieval on the held-out split of the shards a run trains on: what its best checkpoint is chosen by."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.errors import UserError, nearest
from runtime.log import get_logger
from training.data.data_settings import DataSettings
from training.engine.distributed import Ranks
from training.evaluation.benchmarks.retrieval_set import RetrievalSet
from training.evaluation.benchmarks.shards_split import read
from training.evaluation.video.embeddings import Looks, score_split
from training.evaluation.video.evaluation_settings import EvaluationSettings
from training.models.vidla.model_settings import LossSettings
from training.models.vidla.two_tower import VidLA

_log = get_logger(__name__)


class HeldOut:
    """The held-out clips of a run, read once."""

    def __init__(self, clips: RetrievalSet, looks: Looks, ranks: Ranks) -> None:
        self._clips = clips
        self._looks = looks
        self._ranks = ranks

    def __len__(self) -> int:
        return len(self._clips.items)

    @classmethod
    def of(
        cls, data: DataSettings, loss: LossSettings, settings: EvaluationSettings, frames: int, ranks: Ranks
    ) -> HeldOut | None:
        """The split ``val`` of the shards, as far as it has texts of the term; None (and a warning) where it has none.

        Raises:
            UserError: no such term, or a column that holds no text.
            ShardError: the shards can't be read.
        """
        if settings.max_clips == 0 or data.source != "shards":
            return None
        term = settings.term or list(loss.terms)[-1]
        if term not in loss.terms:
            raise UserError(f"evaluation.term={term}: no such term{nearest(term, loss.terms)}")
        layer = max(data.layers, key=data.layers.__getitem__) if data.layers else None
        try:
            clips = read(data.shards, loss.columns(term), layer=layer, clips=settings.clips, limit=settings.max_clips)
        except UserError as nothing:
            _log.warning("no scores while training: %s", nothing)
            return None
        return cls(clips, Looks(frames, settings.batch_size, data.workers or 2, snap=True), ranks)

    def score(self, model: VidLA) -> Mapping[str, float]:
        """See `training.evaluation.video.embeddings.score_split`; collective."""
        return score_split(model, self._clips, self._looks, self._ranks)
