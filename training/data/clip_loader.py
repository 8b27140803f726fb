"""Batches for training and for evaluation: roots of a source, decoded in worker processes, in an order that is fixed.

torch's DataLoader runs the workers; its "sampler" hands them chunks of at most eight roots and its order is that of
the chunks, so the number of workers changes nothing. A position is a step: resuming starts the stream there.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from runtime.errors import MachineError, UserError, one_line
from runtime.log import get_logger
from runtime.settings import content_hash
from training.data.batch_order import Ranked, RootOrder
from training.data.collate import Chunk, ChunkMaker, Tokenizer, filler, join
from training.data.epoch_plan import DataSettings
from training.data.media_cache import MediaReader, TarCache
from training.data.records import Batch, RootTask, Source

_ROOTS_A_CHUNK = 8
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where torch puts what workers hand over
_LOG = get_logger(__name__)
T = TypeVar("T")


class TrainBatches:
    """One rank's batches (`training.engine.training_task.Batches`), in the order of `training.data.batch_order`."""

    def __init__(
        self,
        source: Source,
        *,
        global_batch: int,
        clips_per_root: int,
        ranks: Ranked,
        tokenizer: Tokenizer,
        frames: int,
        settings: DataSettings,
        pin: bool = False,
    ) -> None:
        """Plan the batches; nothing is started yet.

        Args:
            source: of the roots.
            global_batch: clips in a step, over all ranks.
            clips_per_root: that the source gives.
            ranks: this process among all.
            tokenizer: texts to int64 [B, L]; goes to the workers.
            frames: frames a clip.
            settings: of the data path.
            pin: lay frames into page-locked memory.

        Raises:
            UserError: the batch can't be divided, or there are fewer roots than a batch takes.
        """
        fill = partial(filler, source.terms, clips_per_root)
        self._order = RootOrder(source, global_batch, clips_per_root, ranks, fill)
        self._source, self._clips_per_root = source, clips_per_root
        self._settings, self._pin = settings, pin
        self._maker = ChunkMaker(_reader(settings), frames, settings.size, tokenizer, source.terms)

    @property
    def identity(self) -> str:
        """Hash over the source and all that decides what a step holds; not over ranks or workers."""
        maker = self._maker
        return content_hash(self._source.identity, self._order.roots, self._clips_per_root, maker.frames, maker.size)

    @property
    def steps_per_epoch(self) -> int:
        """Global steps in an epoch; the last one is filled up with clips of weight 0."""
        return self._order.steps_per_epoch

    def start(self, step: int) -> Iterator[Batch]:
        """This rank's batches from global step `step` on, epoch after epoch without end.

        Raises:
            MachineError: a worker died.
            ShardError: a table of the source can't be read.
        """
        chunks = math.ceil(self._order.own / _ROOTS_A_CHUNK)
        stream = _in_chunks(self._order.tasks(step), self._order.own)
        made = _made(self._maker, stream, self._settings, ahead=chunks, clips=_ROOTS_A_CHUNK * self._clips_per_root)
        batches = _batches(made, chunks, self._pin)
        return batches if workers_of(self._settings) == 0 else in_thread(batches)


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
        """Name what is to be loaded.

        Args:
            tasks: roots (or files) with their clips; crops are as given, `CENTER` by default.
            batch_size: roots in a batch.
            frames: frames a clip.
            settings: of the data path; its `size`, `workers` and `cache` matter here.
            tokenizer: of the texts; None: batches have no tokens.
            ranks: take only this rank's run of the roots; the runs of all ranks in turn are all roots.
            pin: lay frames into page-locked memory.
        """
        if ranks is not None:
            each = math.ceil(len(tasks) / ranks.world_size)
            tasks = tasks[ranks.rank * each : (ranks.rank + 1) * each]
        self._tasks, self._batch, self._pin = tasks, batch_size, pin
        self._settings = settings or DataSettings()
        terms = tuple(tasks[0].clips[0].texts) if tasks else ()
        self._maker = ChunkMaker(_reader(self._settings), frames, self._settings.size, tokenizer, terms)

    def __len__(self) -> int:
        return math.ceil(len(self._tasks) / self._batch)

    def __iter__(self) -> Iterator[Batch]:
        chunks = math.ceil(self._batch / _ROOTS_A_CHUNK)
        clips = _ROOTS_A_CHUNK * max((len(task.clips) for task in self._tasks), default=1)
        stream = _in_chunks(iter(self._tasks), self._batch)
        return _batches(_made(self._maker, stream, self._settings, ahead=chunks, clips=clips), chunks, self._pin)


def workers_of(settings: DataSettings) -> int:
    """Decoding processes of this rank: as set, else its share of the machine's cores."""
    if settings.workers is not None:
        return settings.workers
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def in_thread(batches: Iterator[T]) -> Iterator[T]:
    """The same batches, the next one put together in a thread while this one is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def _reader(settings: DataSettings) -> MediaReader:
    if settings.cache is None:
        return MediaReader()
    return MediaReader(TarCache(settings.cache, int(settings.cache_gb * 1e9)))


def _in_chunks(tasks: Iterator[RootTask], batch: int) -> Iterator[tuple[RootTask, ...]]:
    """Chunks of at most eight roots, none across the border of two batches."""
    while True:
        left = batch
        while left:
            chunk = tuple(islice(tasks, min(left, _ROOTS_A_CHUNK)))
            if not chunk:
                return
            yield chunk
            left -= len(chunk)


def _batches(chunks: Iterator[Chunk], a_batch: int, pin: bool) -> Iterator[Batch]:
    while held := list(islice(chunks, a_batch)):
        yield join(held, pin)


class _Chunks(Dataset[Any]):
    """What DataLoader asks of a dataset; an "index" is a chunk's tasks. A fault is handed on as a value."""

    def __init__(self, maker: ChunkMaker) -> None:
        self._maker = maker

    def __getitem__(self, tasks: Sequence[RootTask]) -> Chunk | MachineError:
        try:
            return self._maker(tasks)
        except MachineError as error:
            return error


def _made(
    maker: ChunkMaker, stream: Iterator[Sequence[RootTask]], settings: DataSettings, ahead: int, clips: int
) -> Iterator[Chunk]:
    """The chunks of a stream, in its order, made by workers."""
    workers = workers_of(settings)
    shared = clips * maker.frames * maker.size**2 * 3
    loader: DataLoader[Any] = DataLoader(
        _Chunks(maker),
        sampler=stream,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # or DataLoader draws from the run's own random numbers
        multiprocessing_context=_start_method() if workers else None,
        prefetch_factor=_chunks_ahead(settings.prefetch * ahead, workers, shared) if workers else None,
        worker_init_fn=_begin_worker if workers else None,
    )
    iterator = iter(loader)
    try:
        for chunk in iterator:
            if isinstance(chunk, MachineError):
                raise chunk
            _log_skips(chunk)
            yield chunk
    except (RuntimeError, EOFError, ConnectionError) as error:  # the latter two: gone while it handed a tensor over
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        said = one_line(error, keep="first")
        raise MachineError(f"a decoding worker died, most likely for want of memory ({said})") from None
    finally:
        if workers:
            _end_workers(iterator)


def _end_workers(iterator: Any) -> None:
    """End the workers; one that is stuck in a read hears no signal, and would keep this process from ending."""
    iterator._shutdown_workers()
    for worker in iterator._workers:
        if worker.is_alive():
            worker.kill()


def _as_it_is(chunk: T) -> T:
    return chunk


def _start_method() -> Any:
    """Processes that inherit neither threads nor CUDA; this module is loaded once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.data.collate"])
    return context


def _begin_worker(_: int) -> None:
    """Signals are for the main process, which ends its workers in order; one that is gone takes them along.

    torch looks whether a worker's parent is alive: here that is the fork server, which outlives its owner.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if (main := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(main,), daemon=True).start()


def _end_with(main: Any) -> None:
    main.join()
    os._exit(1)


def _chunks_ahead(wanted: int, workers: int, chunk_bytes: int) -> int:
    """Chunks a worker may hold ready, as many as shared memory has room for."""
    free = shutil.disk_usage(_SHARED_MEMORY).free if _SHARED_MEMORY.is_dir() else math.inf
    room = int(min(0.8 * free / (workers * chunk_bytes), 1 << 20))
    if room < 1:
        raise UserError(
            f"data.workers={workers} need {workers * chunk_bytes / 2**30:.1f} GiB of shared memory, {_SHARED_MEMORY} "
            f"has {free / 2**30:.1f} GiB free; make it larger (docker: --shm-size) or lower data.workers"
        )
    return min(max(math.ceil(wanted / workers), 2), room)


def _log_skips(chunk: Chunk) -> None:
    for reason, example in chunk.examples.items():
        _LOG.info("skipped (%s): %s", reason, example)
