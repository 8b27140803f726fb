"""Checkpoints: everything that a run needs to continue as if it had never stopped, written whole or not at all.

    RUN/checkpoints/step-00000050/
      state/*.safetensors  weights, moments and random states: the shards of each rank (`training_state`)
      …                    the description of the model, by the task's `save`
      checkpoint.json      step, identity of the run, size and hash of each file (see `run_folder`)

`CheckpointSaver` copies a rank's share of the tensors, and a thread writes the copy while training goes on. A
checkpoint is written beside its place and renamed when the files of all ranks are written; `checkpoint.json` is its
last file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_saver import async_save

from runtime.errors import MachineError, UserError, one_line
from runtime.log import get_logger
from shards.storage.files import file_sha256, mend_folders, new_folder, remove_leftovers
from training.engine.checkpoints.run_folder import (
    CHECKPOINTS,
    RECORD,
    SCORE,
    STATE,
    CheckpointRecord,
    checkpoint_folder,
    checkpoint_step,
    checkpoints,
)
from training.engine.checkpoints.shard_writer import Files, ShardWriter
from training.engine.checkpoints.single_file import restore_single_file
from training.engine.checkpoints.training_state import (
    expect_one_process,
    nested,
    read_optimizer,
    read_random,
    read_weights,
    share_of,
    sizes_of,
    training_state,
    whole_weights,
)
from training.engine.parallel.distributed import Ranks, gather_objects
from training.engine.training_task import TrainingTask

_SINGLE_FILE: Final = 1
"""Format of checkpoints that `single_file` reads."""

_log = get_logger(__name__)


class CheckpointSaver:
    """Saves checkpoints of a run while it goes on; collective: every rank has one, and calls the same methods.

    One checkpoint at a time is written. Its copy of the tensors takes this rank's shards and its part of what all ranks
    have, in the memory of the machine; it is kept for the next one.
    """

    def __init__(self, run: Path, ranks: Ranks, keep: int) -> None:
        """Start without a checkpoint to wait for; what a killed process left half-written is removed.

        Args:
            run: the run's folder.
            ranks: the processes that take part.
            keep: number of checkpoints that stay.
        """
        self._run, self._ranks, self._keep = run, ranks, keep
        self._group = dist.new_group(backend="gloo") if ranks.world_size > 1 else None
        on_gpu = ranks.device.type == "cuda"
        options = StagingOptions(
            use_pinned_memory=on_gpu, use_shared_memory=False, use_async_staging=False, use_non_blocking_copy=on_gpu
        )
        self._stager = DefaultStager(options)
        self._pending: _Pending | None = None
        expect_one_process()
        if ranks.is_main:
            mend_folders(run / CHECKPOINTS)
            remove_leftovers(run / CHECKPOINTS)

    def save(self, task: TrainingTask, optimizer: torch.optim.Optimizer, record: CheckpointRecord) -> None:
        """Copy the state of the run and begin to write it; all but the last `keep` checkpoints are removed afterwards.

        Args:
            task: the model that is trained, with its loss.
            optimizer: its moments are saved.
            record: of the checkpoint; `files` is filled in here.

        Raises:
            MachineError: this checkpoint or the one before can't be written; what was there before stays.
        """
        self.wait()
        folder = checkpoint_folder(self._run, record.step)
        opened = ExitStack()
        partial = folder
        with _machine_errors(folder):
            if self._ranks.is_main:
                partial = opened.enter_context(new_folder(folder))
                with opened:
                    task.save(partial, weights={})
                    opened = opened.pop_all()
            partial = Path(gather_objects(str(partial), self._ranks)[0])
            state = training_state(task.stored, task.module, optimizer, self._ranks)
            commit = _Commit(self._run, partial, record, self._keep, opened)
            writer = ShardWriter(partial / STATE, sizes_of(state, self._ranks), commit)
            future = async_save(
                nested(share_of(state, self._ranks)),
                storage_writer=writer,
                process_group=self._group,
                async_stager=self._stager,
                no_dist=self._ranks.world_size == 1,
            )
        self._pending = _Pending(folder, cast("Future[Any]", future), opened)

    def check(self) -> None:
        """Raise the error of a checkpoint that could not be written, if there is one already; don't wait.

        Raises:
            MachineError: it can't be written; what was there before stays.
        """
        if self._pending is not None and self._pending.future.done():
            self.wait()

    def wait(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            MachineError: it can't be written; what was there before stays.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            with _machine_errors(pending.folder), pending.opened:
                pending.future.result()

    def __enter__(self) -> CheckpointSaver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the last checkpoint; after an error, an error of the checkpoint is only logged."""
        try:
            self.wait()
        except MachineError as fault:
            if error is None:
                raise
            _log.warning("%s", fault)
        finally:
            self._stager.close()


def save_model(folder: Path, task: TrainingTask, ranks: Ranks, facts: Mapping[str, Any]) -> None:
    """Replace a folder by the task's current files, with `facts` (step, scores) in ``score.json``; collective.

    Raises:
        MachineError: it can't be written; what was there before stays.
    """
    weights = whole_weights(task.stored, ranks)
    if not ranks.is_main:
        return
    with _machine_errors(folder), new_folder(folder) as partial:
        task.save(partial, weights)
        _write_json(partial / SCORE, dict(facts))


def restore(
    folder: Path, record: CheckpointRecord, task: TrainingTask, optimizer: torch.optim.Optimizer, ranks: Ranks
) -> None:
    """Restore the task, the optimizer and this rank's random state from a checkpoint; collective.

    Raises:
        UserError: a file is damaged, or does not fit.
    """
    _check_digests(folder, record, ranks)
    if record.format == _SINGLE_FILE:
        restore_single_file(folder, task, optimizer, ranks)
        return
    read_weights(task.stored, folder / STATE)
    task.restore(folder)
    read_optimizer(task.module, optimizer, folder / STATE)
    read_random(folder / STATE, ranks)


def drop_after(run: Path, step: int) -> None:
    """Remove checkpoints of later steps: the run continues from an earlier one."""
    for folder in checkpoints(run):
        if checkpoint_step(folder) > step:
            _log.warning("%s is removed: the run continues from step %d", folder, step)
            shutil.rmtree(folder)


@dataclass(frozen=True)
class _Pending:
    """A checkpoint that is being written."""

    folder: Path
    future: Future[Any]
    opened: ExitStack
    """Removes the unfinished folder after an error; on rank 0 only."""


@dataclass(frozen=True)
class _Commit:
    """The end of a checkpoint, on rank 0: its record, its name, and the end of older ones."""

    run: Path
    partial: Path
    record: CheckpointRecord
    keep: int
    opened: ExitStack
    """The partial folder, which gets its name when this is closed."""

    def __call__(self, shards: Files) -> None:
        beside = [path for path in sorted(self.partial.iterdir()) if path.is_file()]
        files: dict[str, tuple[int, str]] = {path.name: (path.stat().st_size, file_sha256(path)) for path in beside}
        files |= {f"{STATE}/{name}": described for name, described in shards.items()}
        _write_json(self.partial / RECORD, asdict(self.record) | {"files": files})
        self.opened.close()
        for old in checkpoints(self.run)[: -self.keep]:
            shutil.rmtree(old)


def _check_digests(folder: Path, record: CheckpointRecord, ranks: Ranks) -> None:
    """Compare files with their SHA-256; each rank reads a part of them, and all ranks end alike.

    Raises:
        UserError: a file is damaged.
    """
    mine = sorted(record.files.items())[ranks.rank :: ranks.world_size]
    damaged = [name for name, (_, digest) in mine if file_sha256(folder / name) != digest]
    for name in (name for of_rank in gather_objects(damaged, ranks) for name in of_rank):
        raise UserError(f"--resume {folder}: {name} is damaged (its SHA-256 differs); use an older checkpoint")


@contextmanager
def _machine_errors(folder: Path) -> Iterator[None]:
    """Convert errors of writing `folder` into `MachineError`."""
    try:
        yield
    except (OSError, SafetensorError, CheckpointException) as fault:
        raise MachineError(f"{folder}: can't be written ({_cause(fault)}); what was saved before is whole") from fault


def _cause(fault: BaseException) -> str:
    """Return one line about an error; of DCP's, that of the first rank that failed."""
    if isinstance(fault, CheckpointException) and fault.failures:
        rank, (error, _) = next(iter(sorted(fault.failures.items(), key=lambda item: item[0])))
        return f"rank {rank}: {one_line(error, keep='first')}"
    return one_line(fault, keep="first")


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        json.dump(values, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
