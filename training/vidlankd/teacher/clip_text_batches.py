"""The teacher's data: which clips it sees in which order, with the visual features of their spans.

Roots come in the order of `training.data.sources.shard_source`, as for any other training on shards; of each, one clip of its
tree is drawn (short, medium or long: a random window of the video). `training.vidlankd.teacher.clip_text_collate` makes batches
of them, in this process, the next one in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from runtime.errors import UserError
from runtime.log import get_logger
from runtime.settings import content_hash
from training.data.batch_order import Ranked, RootOrder
from training.data.clip_source import ClipSource
from training.data.clip_tasks import RootTask
from training.data.data_settings import Split
from training.data.prefetch_thread import prefetch_in_thread
from training.data.sources.shard_source import ShardSource
from training.features.feature_store import FeatureStore
from training.models.vidlankd.text_batch import ClipTextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.teacher.clip_text_collate import TERM, ClipTextMaker
from training.vidlankd.vidlankd_settings import ClipTextSettings

_log = get_logger(__name__)


def open_source(settings: ClipTextSettings, seed: int, split: Split = "train") -> ShardSource:
    """The roots of a split.

    Raises:
        UserError: no shards, no such text column, or an empty split.
        ShardError: a DIR that can't be read.
    """
    every_clip = settings.window == "first"
    return ShardSource(settings, {TERM: settings.text}, seed, split, every_clip=every_clip, columns_of="data.text")


def open_features(settings: ClipTextSettings) -> FeatureStore:
    """The feature set that the settings name, or the only one there is.

    Raises:
        UserError: no shards, no features, no such set, several and none named, or one in which every root failed.
        ShardError: a DIR that can't be read.
    """
    if not settings.shards:
        raise UserError("--shards: name at least one folder that `curate run` wrote")
    store = FeatureStore.open(settings.shards, settings.features or _only_set(settings.shards[0]))
    if not store.holds_rows():
        raise UserError(
            f"features {store.name!r}: no root of {', '.join(settings.shards)} has any, all failed; `train-vidlankd "
            "features` says why: make a new set with it, under another --name"
        )
    return store


def open_maker(
    settings: ClipTextSettings,
    store: FeatureStore | None,
    tokenizer: TextTokenizer,
    block: int,
    max_rows: int,
    pin: bool,
) -> ClipTextMaker:
    """What makes batches as `settings` say.

    Args:
        settings: of the data.
        store: of the features, see `open_features`; None where the teacher does not look at any.
        tokenizer: the teacher's.
        block: longest row of tokens that the teacher takes.
        max_rows: most rows of features that it takes.
        pin: lay tensors into page-locked memory.
    """
    return ClipTextMaker(
        store, tokenizer, settings.masking, settings.window, settings.overflow, block, max_rows, pin=pin
    )


class ClipTextBatches:
    """One rank's batches for the teacher (`training.engine.training_task.Batches`)."""

    def __init__(
        self, source: ClipSource, maker: ClipTextMaker, global_batch: int, clips_per_root: int, ranks: Ranked
    ) -> None:
        """Plan the batches; nothing is read yet.

        Args:
            source: of the roots, see `open_source`.
            maker: of the batches.
            global_batch: clips in a step, over all ranks.
            clips_per_root: that the source gives.
            ranks: this process among all.

        Raises:
            UserError: the batch can't be divided, or there are fewer roots than a batch takes.
        """
        self._order = RootOrder(source, global_batch, clips_per_root, ranks)
        self._source, self._maker = source, maker

    @property
    def identity(self) -> str:
        """Hash over source, features, tokenizer and all that decides which clips a step holds."""
        return content_hash(self._source.identity, self._maker.identity, self._order.roots)

    @property
    def steps_per_epoch(self) -> int:
        """Global steps in an epoch; the last one is filled up with clips of weight 0."""
        return self._order.steps_per_epoch

    def start(self, step: int) -> Iterator[ClipTextBatch]:
        """This rank's batches from global step `step` on, epoch after epoch without end."""
        return prefetch_in_thread(self._batches(step))

    def _batches(self, step: int) -> Iterator[ClipTextBatch]:
        tasks = self._order.tasks(step)
        while True:
            yield self._maker(list(islice(tasks, self._order.own)))


class HeldOutClips:
    """Fixed batches of the split `val`: the same clips, texts and masks at each scoring."""

    def __init__(self, tasks: Sequence[RootTask], maker: ClipTextMaker, batch_size: int, ranks: Ranked) -> None:
        """Name what is scored.

        Args:
            tasks: the roots.
            maker: of the batches.
            batch_size: roots in a batch.
            ranks: this process takes every `world_size`-th batch.
        """
        self._tasks, self._maker, self._batch_size, self._ranks = tasks, maker, batch_size, ranks

    @classmethod
    def of(
        cls, settings: ClipTextSettings, maker: ClipTextMaker, batch_size: int, ranks: Ranked
    ) -> HeldOutClips | None:
        """The held-out roots of the shards; None (and a warning) where there are none.

        Raises:
            ShardError: the shards can't be read.
        """
        if settings.held_out == 0:
            return None
        try:
            source = open_source(settings, seed=0, split="val")
        except UserError as nothing:
            _log.warning("no scores while training: %s", nothing)
            return None
        return cls(list(islice(source.epoch(0), settings.held_out)), maker, batch_size, ranks)

    def __len__(self) -> int:
        """Roots, of all ranks."""
        return len(self._tasks)

    def __iter__(self) -> Iterator[ClipTextBatch]:
        """This rank's batches."""
        stride = self._batch_size * self._ranks.world_size
        begins = range(self._ranks.rank * self._batch_size, len(self._tasks), stride)
        return prefetch_in_thread(self._maker(self._tasks[begin : begin + self._batch_size]) for begin in begins)


def _only_set(directory: str) -> str:
    """Name of the one feature set of a DIR."""
    names = FeatureStore.feature_sets(directory)
    if len(names) > 1:
        raise UserError(f"--shards {directory}: several feature sets ({', '.join(names)}); name one: --features")
    if not names:
        raise UserError(f"--shards {directory}: no features yet; run train-vidlankd features --shards {directory}")
    return names[0]
