"""Retrieval on the held-out split of the shards a run trains on: what its best checkpoint is chosen by."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from runtime.errors import UserError, nearest
from runtime.log import get_logger
from runtime.settings import Runtime, Settings
from training.data.epoch_plan import DataSettings
from training.engine.distributed import Ranks
from training.evaluation.benchmarks.retrieval_set import RetrievalSet
from training.evaluation.benchmarks.shards_split import Clips, read
from training.evaluation.video.embeddings import Looks, score_split
from training.models.vidla.contrastive_loss import LossSettings
from training.models.vidla.two_tower import VidLA

_log = get_logger(__name__)


class EvaluationSettings(Settings):
    """Retrieval on the held-out split while training."""

    max_clips: Runtime[int] = Field(default=1000, ge=0)
    """At most so many held-out clips; 0: no evaluation."""
    clips: Runtime[Clips] = "root"
    """Which clips: roots, or all of one level."""
    term: Runtime[str | None] = None
    """Which of `loss.terms` asks for the clips; None: the last."""
    batch_size: Runtime[int] = Field(default=16, ge=1)
    """Clips a rank embeds at once."""


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
