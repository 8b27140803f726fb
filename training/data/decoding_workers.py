"""Worker processes that decode groups of roots, run by torch's DataLoader; a group becomes one small batch."""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from runtime.errors import MachineError, UserError, one_line
from runtime.log import get_logger
from training.data.clip_batch import ClipBatch
from training.data.clip_collate import ClipCollator
from training.data.clip_tasks import RootTask
from training.data.data_settings import DataSettings

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  torch passes the tensors of workers through it
_log = get_logger(__name__)


def workers_of(settings: DataSettings) -> int:
    """Return the number of decoding processes of this rank: the setting, or its share of the machine's cores."""
    if settings.workers is not None:
        return settings.workers
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def decode_in_workers(
    collator: ClipCollator,
    groups: Iterator[Sequence[RootTask]],
    settings: DataSettings,
    *,
    groups_a_batch: int,
    clips_a_group: int,
) -> Iterator[ClipBatch]:
    """Decode groups of roots in workers, or in this process if there are none; yield batches in the order of groups.

    Args:
        collator: decodes a group; is pickled into the workers.
        groups: the roots of one small batch each.
        settings: number of workers, and how many batches to prefetch.
        groups_a_batch: groups in one batch of the training; the unit of prefetching.
        clips_a_group: at most; with it the shared memory is estimated.

    Raises:
        UserError: shared memory is too small for the workers.
        MachineError: a worker died, or reported a fault of this machine.
    """
    workers = workers_of(settings)
    group_bytes = clips_a_group * collator.frames * collator.size**2 * 3
    loader: DataLoader[Any] = DataLoader(
        _DecodedGroups(collator),
        sampler=groups,
        batch_size=None,
        num_workers=workers,
        collate_fn=_unchanged,
        generator=torch.Generator(),  # without it, DataLoader draws from the run's own random numbers
        multiprocessing_context=_start_method() if workers else None,
        prefetch_factor=_groups_ahead(settings.prefetch * groups_a_batch, workers, group_bytes) if workers else None,
        worker_init_fn=_begin_worker if workers else None,
    )
    iterator = iter(loader)
    try:
        for batch in iterator:
            if isinstance(batch, MachineError):
                raise batch
            _log_skips(batch)
            yield batch
    except (RuntimeError, EOFError, ConnectionError) as error:  # the latter two: it died while sending a tensor
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        said = one_line(error, keep="first")
        raise MachineError(f"a decoding worker died, most likely because memory ran out ({said})") from None
    finally:
        if workers:
            _end_workers(iterator)


class _DecodedGroups(Dataset[Any]):
    """The dataset that DataLoader asks for; an "index" is a group of roots. A machine fault is returned as a value."""

    def __init__(self, collator: ClipCollator) -> None:
        self._collator = collator

    def __getitem__(self, roots: Sequence[RootTask]) -> ClipBatch | MachineError:
        try:
            return self._collator(roots)
        except MachineError as error:
            return error


def _unchanged(batch: Any) -> Any:
    return batch


def _start_method() -> Any:
    """Return a context whose processes inherit neither threads nor CUDA; the decoder is imported once for all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.data.clip_collate"])
    return context


def _begin_worker(_: int) -> None:
    """Leave signals to the main process, which ends its workers in order, and end with it if it dies.

    torch checks only that a worker's parent is alive: here that is the fork server, which outlives the main process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if (main := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(main,), daemon=True).start()


def _end_with(main: Any) -> None:
    main.join()
    os._exit(1)


def _end_workers(iterator: Any) -> None:
    """End the workers. A worker that is blocked in a read ignores signals and would keep this process from ending."""
    iterator._shutdown_workers()
    for worker in iterator._workers:
        if worker.is_alive():
            worker.kill()


def _groups_ahead(wanted: int, workers: int, group_bytes: int) -> int:
    """Return the number of decoded groups that a worker may hold, limited by free shared memory."""
    free = shutil.disk_usage(_SHARED_MEMORY).free if _SHARED_MEMORY.is_dir() else math.inf
    room = int(min(0.8 * free / (workers * group_bytes), 1 << 20))
    if room < 1:
        raise UserError(
            f"data.workers={workers} need {workers * group_bytes / 2**30:.1f} GiB of shared memory, {_SHARED_MEMORY} "
            f"has {free / 2**30:.1f} GiB free; make it larger (docker: --shm-size) or lower data.workers"
        )
    return min(max(math.ceil(wanted / workers), 2), room)


def _log_skips(batch: ClipBatch) -> None:
    for reason, example in batch.examples.items():
        _log.info("skipped (%s): %s", reason, example)
