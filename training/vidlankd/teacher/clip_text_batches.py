"""Batches of the teacher: clips in the order of an epoch, with the visual features of their spans.

Roots come in the order of `training.data.sources.shard_source`, as for all training on shards. One clip of each root's
tree is drawn (short, medium or long: a random window of the video). `training.vidlankd.teacher.clip_text_collator`
makes the batches in this process; a thread prepares the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from runtime.errors import UserError
from runtime.log import get_logger
from runtime.settings import content_hash
from training.data.clip_source import ClipSource
from training.data.clip_tasks import RootTask
from training.data.data_settings import Split
from training.data.order.batch_order import Ranked, RootOrder
from training.data.prefetch_thread import prefetch_in_thread
from training.data.sources.shard_source import ShardSource
from training.features.feature_store import FeatureStore
from training.models.vidlankd.text_batch import ClipTextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.teacher.clip_text_collator import TERM, ClipTextCollator
from training.vidlankd.vidlankd_settings import ClipTextSettings

_log = get_logger(__name__)


def open_source(settings: ClipTextSettings, seed: int, split: Split = "train") -> ShardSource:
    """Open the roots of a split.

    Raises:
        UserError: there are no shards, no such text column, or no root in the split.
        ShardError: a DIR can't be read.
    """
    every_clip = settings.window == "first"
    return ShardSource(settings, {TERM: settings.text}, seed, split, every_clip=every_clip, columns_of="data.text")


def describe_texts(source: ShardSource) -> str:
    """Return the share of each text column for the run's header; warn if the preferred one isn't what is read most."""
    shares = source.text_shares(TERM)
    first, most = next(iter(shares)), max(shares, key=shares.__getitem__)
    if most != first:
        _log.warning(
            "data.text: %s is preferred, but %.0f %% of the clips have none and are read as %s or another column; the "
            "paper's teacher reads narration: --set data.text=[subtitle]",
            *(first, 100 * (1 - shares[first]), most),
        )
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())


def build_collator(
    settings: ClipTextSettings,
    store: FeatureStore | None,
    tokenizer: TextTokenizer,
    block: int,
    max_rows: int,
    pin: bool,
) -> ClipTextCollator:
    """Build the collator that `settings` describe.

    Args:
        settings: settings of the data.
        store: feature store, see `open_features`; None if the teacher uses no features.
        tokenizer: the teacher's tokenizer.
        block: largest number of tokens that the teacher takes.
        max_rows: largest number of feature rows that it takes.
        pin: put tensors in page-locked memory.
    """
    return ClipTextCollator(
        store, tokenizer, settings.masking, settings.window, settings.overflow, block, max_rows, pin=pin
    )


class ClipTextBatches:
    """One rank's batches for the teacher (`training.engine.training_task.Batches`)."""

    def __init__(
        self, source: ClipSource, collator: ClipTextCollator, global_batch: int, clips_per_root: int, ranks: Ranked
    ) -> None:
        """Plan the batches; nothing is read yet.

        Args:
            source: source of the roots, see `open_source`.
            collator: makes the batches.
            global_batch: clips in a step, over all ranks.
            clips_per_root: clips that the source gives for each root.
            ranks: this process among all.

        Raises:
            UserError: the batch can't be divided, or there are fewer roots than a batch takes.
        """
        self._order = RootOrder(source, global_batch, clips_per_root, ranks)
        self._source, self._collator = source, collator

    @property
    def identity(self) -> str:
        """Hash of source, features, tokenizer and everything else that decides the clips of a step."""
        return content_hash(self._source.identity, self._collator.identity, self._order.roots)

    @property
    def steps_per_epoch(self) -> int:
        """Number of global steps in an epoch; the last one is padded with clips of weight 0."""
        return self._order.steps_per_epoch

    def start(self, step: int) -> Iterator[ClipTextBatch]:
        """Yield this rank's batches from global step `step` on, epoch after epoch without end."""
        return prefetch_in_thread(self._batches(step))

    def _batches(self, step: int) -> Iterator[ClipTextBatch]:
        tasks = self._order.tasks(step)
        while True:
            yield self._collator(list(islice(tasks, self._order.own)))


class HeldOutClips:
    """Fixed batches of the split `val`: the same clips, texts and masks at each evaluation."""

    def __init__(self, tasks: Sequence[RootTask], collator: ClipTextCollator, batch_size: int, ranks: Ranked) -> None:
        """Plan the batches.

        Args:
            tasks: the roots.
            collator: makes the batches.
            batch_size: roots in a batch.
            ranks: this process takes every `world_size`-th batch.
        """
        self._tasks, self._collator, self._batch_size, self._ranks = tasks, collator, batch_size, ranks

    @classmethod
    def of(
        cls, settings: ClipTextSettings, collator: ClipTextCollator, batch_size: int, ranks: Ranked
    ) -> HeldOutClips | None:
        """Open the held-out roots of the shards; return None, with a warning, if there are none.

        Raises:
            ShardError: the shards can't be read.
        """
        if settings.held_out == 0:
            return None
        try:
            source = open_source(settings, seed=0, split="val")
        except UserError as error:
            _log.warning("no scores while training: %s", error)
            return None
        return cls(list(islice(source.epoch(0), settings.held_out)), collator, batch_size, ranks)

    def __len__(self) -> int:
        """Return the number of roots of all ranks."""
        return len(self._tasks)

    def __iter__(self) -> Iterator[ClipTextBatch]:
        """Yield this rank's batches."""
        stride = self._batch_size * self._ranks.world_size
        begins = range(self._ranks.rank * self._batch_size, len(self._tasks), stride)
        return prefetch_in_thread(self._collator(self._tasks[begin : begin + self._batch_size]) for begin in begins)
