"""Batches of clips for training and for evaluation: the roots of a source, decoded in worker processes.

torch's DataLoader runs the workers. Its "sampler" yields groups of at most eight roots (without workers: all roots of a
batch, which then needs no concatenation), and its output has the order of these groups, so the batches don't depend on
the number of workers. A position is a step: a resumed run starts the
stream there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

from runtime.settings import content_hash
from training.data.clip_batch import ClipBatch
from training.data.clip_collate import ClipCollator, Tokenizer
from training.data.clip_source import ClipSource
from training.data.clip_tasks import RootTask
from training.data.data_settings import DataSettings
from training.data.decoding_workers import decode_in_workers, workers_of
from training.data.long_texts import LongTexts
from training.data.media_cache import MediaReader, TarCache
from training.data.order.batch_order import Ranked, RootOrder
from training.data.order.frame_buckets import FrameBuckets
from training.data.prefetch_thread import prefetch_in_thread

_ROOTS_A_PART = 8


class TrainBatches:
    """One rank's batches (`training.engine.training_task.Batches`), in the order of `order.batch_order`."""

    def __init__(
        self,
        source: ClipSource,
        *,
        global_batch: int,
        clips_per_root: int,
        ranks: Ranked,
        tokenizer: Tokenizer,
        frames: int,
        settings: DataSettings,
        pin: bool = False,
        long_texts: LongTexts | None = None,
    ) -> None:
        """Plan the batches without starting a worker.

        Args:
            source: of the roots.
            global_batch: clips in a step, over all ranks.
            clips_per_root: number of clips in each root of the source.
            ranks: rank and world size of this process.
            tokenizer: texts to int64 [B, L]; is pickled into the workers.
            frames: frames per clip, unless `settings` give them by duration.
            settings: of the data.
            pin: copy batches to page-locked memory.
            long_texts: what is done with texts that the text tower can't take whole; None: they are cut, uncounted.

        Raises:
            UserError: the batch can't be divided, or the source has fewer roots than a batch needs.
        """
        self.buckets: FrameBuckets | None = FrameBuckets.of(settings)
        """Frames by duration; None: all clips have `frames`."""
        self._order = RootOrder(source, global_batch, clips_per_root, ranks, self.buckets)
        self._source, self._clips_per_root, self._global_batch = source, clips_per_root, global_batch
        self._settings, self._pin = settings, pin
        most = max(self.buckets.counts) if self.buckets else frames
        self._collator = ClipCollator(_reader(settings), most, settings.size, tokenizer, source.terms, long_texts)

    @property
    def identity(self) -> str:
        """Hash over the source and all settings that decide the content of a step; not over ranks or workers."""
        made = self._collator
        parts = [self._source.identity, self._order.roots, self._clips_per_root, made.frames, made.size]
        if made.long_texts is not None and made.long_texts.way != "cut":
            parts.append(made.long_texts.way)
        if self.buckets is not None:
            parts.append([self.buckets.rate, *self.buckets.counts])
        return content_hash(*parts)

    @property
    def steps_per_epoch(self) -> int:
        """Global steps in an epoch of `data.epoch_of`."""
        if self._settings.epoch_of == "roots":
            return self.steps_per_visit
        return max(1, math.ceil(self._source.num_clips / self._global_batch))

    @property
    def steps_per_visit(self) -> int:
        """Global steps in one visit of each root; the last one is filled up with clips of weight 0."""
        return self._order.steps_per_epoch

    def start(self, step: int) -> Iterator[ClipBatch]:
        """Yield this rank's batches from global step `step` on, epoch after epoch without end.

        Raises:
            MachineError: a worker died.
            ShardError: a table of the source can't be read.
        """
        size = _roots_a_group(self._settings, self._order.own)
        parts = math.ceil(self._order.own / size)
        groups = _groups(self._order.tasks(step), self._order.own, size)
        clips = size * self._clips_per_root
        made = decode_in_workers(self._collator, groups, self._settings, groups_a_batch=parts, clips_a_group=clips)
        batches = _batches(made, parts, self._pin)
        return batches if workers_of(self._settings) == 0 else prefetch_in_thread(batches)


class ClipLoader:
    """Batches of given roots, in their order, for evaluation; the last one may be smaller."""

    def __init__(
        self,
        tasks: Sequence[RootTask],
        *,
        batch_size: int,
        frames: int,
        settings: DataSettings | None = None,
        tokenizer: Tokenizer | None = None,
        ranks: Ranked | None = None,
        pin: bool = False,
    ) -> None:
        """Plan the batches without starting a worker.

        Args:
            tasks: roots (or files) with their clips; crops are used as given, `CENTER` by default.
            batch_size: roots in a batch.
            frames: frames per clip.
            settings: of the data; only `size`, `workers`, `prefetch` and the cache are used.
            tokenizer: of the texts; None: batches have no tokens.
            ranks: load only this rank's part of the roots; the parts of all ranks, in rank order, are all roots.
            pin: copy batches to page-locked memory.
        """
        if ranks is not None:
            each = math.ceil(len(tasks) / ranks.world_size)
            tasks = tasks[ranks.rank * each : (ranks.rank + 1) * each]
        self._tasks, self._batch, self._pin = tasks, batch_size, pin
        self._settings = settings or DataSettings()
        terms = tuple(tasks[0].clips[0].texts) if tasks else ()
        self._collator = ClipCollator(_reader(self._settings), frames, self._settings.size, tokenizer, terms)

    def __len__(self) -> int:
        return math.ceil(len(self._tasks) / self._batch)

    def __iter__(self) -> Iterator[ClipBatch]:
        size = _roots_a_group(self._settings, self._batch)
        parts = math.ceil(self._batch / size)
        clips = size * max((len(task.clips) for task in self._tasks), default=1)
        groups = _groups(iter(self._tasks), self._batch, size)
        made = decode_in_workers(self._collator, groups, self._settings, groups_a_batch=parts, clips_a_group=clips)
        return _batches(made, parts, self._pin)


def _reader(settings: DataSettings) -> MediaReader:
    if settings.cache is None:
        return MediaReader()
    return MediaReader(TarCache(settings.cache, int(settings.cache_gb * 1e9)))


def _roots_a_group(settings: DataSettings, batch: int) -> int:
    return batch if workers_of(settings) == 0 else _ROOTS_A_PART


def _groups(tasks: Iterator[RootTask], batch: int, size: int) -> Iterator[tuple[RootTask, ...]]:
    """Yield groups of at most `size` roots; no group crosses the border between two batches."""
    while True:
        left = batch
        while left:
            group = tuple(islice(tasks, min(left, size)))
            if not group:
                return
            yield group
            left -= len(group)


def _batches(parts: Iterator[ClipBatch], parts_a_batch: int, pin: bool) -> Iterator[ClipBatch]:
    while held := list(islice(parts, parts_a_batch)):
        yield ClipBatch.cat(held, pin=pin).by_length()
