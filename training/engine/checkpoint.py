"""Checkpoints: everything that a run needs to continue as if it had never stopped, written whole or not at all.

    RUN/checkpoints/step-00000050/
      train_state.pt       optimizer and random states (tensors and plain values; read with weights_only=True)
      …                    the files of the task's `save`; for VidLA what `training.vidla.load` opens
      checkpoint.json      step, identity of the run, size and hash of each file (`training.engine.run_folder`)

A checkpoint is written beside its place and renamed when it is complete; `checkpoint.json` is its last file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError

from runtime.errors import MachineError, UserError, one_line
from runtime.log import get_logger
from shards.storage.files import file_sha256, new_folder
from training.engine.random_state import RandomState, set_random_state
from training.engine.run_folder import (
    BEST,
    RECORD,
    SCORE,
    CheckpointRecord,
    checkpoint_folder,
    checkpoint_step,
    checkpoints,
)
from training.engine.training_task import TrainingTask

_STATE: Final = "train_state.pt"

_log = get_logger(__name__)


def save_checkpoint(
    run: Path,
    task: TrainingTask,
    optimizer: torch.optim.Optimizer,
    random_states: Sequence[RandomState],
    record: CheckpointRecord,
    keep: int,
) -> Path:
    """Write a checkpoint and remove all but the last `keep`; on rank 0 only.

    Args:
        run: the run's folder.
        task: the model that is trained, with its loss.
        optimizer: its state is saved whole.
        random_states: `random_state()` of every rank, in order.
        record: of the checkpoint; `files` is filled in here.
        keep: number of checkpoints that stay.

    Returns:
        The checkpoint's folder.

    Raises:
        MachineError: it can't be written; what was there before stays.
    """
    folder = checkpoint_folder(run, record.step)
    with _new_folder(folder) as partial:
        task.save(partial)
        _write_state(partial / _STATE, {"optimizer": optimizer.state_dict(), "random": list(random_states)})
        names = sorted(path.name for path in partial.iterdir())
        files = {name: ((partial / name).stat().st_size, file_sha256(partial / name)) for name in names}
        _write_json(partial / RECORD, asdict(record) | {"files": files})
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)
    return folder


def save_best(run: Path, task: TrainingTask, facts: Mapping[str, Any]) -> None:
    """Replace ``RUN/best`` by the task's current files, with `facts` (step, scores) in ``score.json``.

    Raises:
        MachineError: it can't be written; what was there before stays.
    """
    with _new_folder(run / BEST) as partial:
        task.save(partial)
        _write_json(partial / SCORE, dict(facts))


def restore(
    folder: Path, record: CheckpointRecord, task: TrainingTask, optimizer: torch.optim.Optimizer, rank: int
) -> None:
    """Restore the task, the optimizer and this rank's random state from a checkpoint.

    Raises:
        UserError: a file is damaged.
    """
    for name, (_, digest) in record.files.items():
        if file_sha256(folder / name) != digest:
            raise UserError(f"--resume {folder}: {name} is damaged (its SHA-256 differs); use an older checkpoint")
    task.restore(folder)
    state = torch.load(folder / _STATE, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(_with_own_settings(state["optimizer"], optimizer, folder))
    if rank < len(state["random"]):
        set_random_state(state["random"][rank])


def drop_after(run: Path, step: int) -> None:
    """Remove checkpoints of later steps: the run continues from an earlier one."""
    for folder in checkpoints(run):
        if checkpoint_step(folder) > step:
            _log.warning("%s is removed: the run continues from step %d", folder, step)
            shutil.rmtree(folder)


def _with_own_settings(saved: dict[str, Any], optimizer: torch.optim.Optimizer, folder: Path) -> dict[str, Any]:
    """Return the saved moments with this run's own settings (decay, betas, rates), which may be changed on purpose."""
    mine = optimizer.state_dict()["param_groups"]
    names = [[group.get("param_names") for group in groups] for groups in (saved["param_groups"], mine)]
    if names[0] != names[1]:
        raise UserError(
            f"--resume {folder}: other parameters decay, or are new, than when the run was begun (optim.decay_exempt, "
            "optim.lr_new); resume with those settings, or start a new --output"
        )
    groups = [own | {"params": old["params"]} for own, old in zip(mine, saved["param_groups"], strict=True)]
    return {**saved, "param_groups": groups}


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to write into, as `shards.storage.files.new_folder`.

    After an error it is removed: on a full disk that makes room for the user's next command.

    Raises:
        MachineError: it can't be written.
    """
    try:
        with new_folder(folder) as partial:
            yield partial
    except (OSError, SafetensorError) as fault:
        raise MachineError(f"{folder}: can't be written ({fault}); what was saved before is whole") from fault


def _write_state(path: Path, values: Mapping[str, Any]) -> None:
    try:
        torch.save(values, path)
    except RuntimeError as fault:  # torch's writer raises it on a full disk
        raise OSError(f"the disk is full or gone: {one_line(fault, keep='first')}") from fault
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        json.dump(values, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
