"""Checkpoints: a folder that is whole or not there, and everything a run needs to go on as if it had never stopped.

    RUN/checkpoints/step-00000050/
      checkpoint.json      step, what the run was (settings, data, batch, architecture), size and hash of each file
      train_state.pt       optimizer and random states (tensors and plain values; read with weights_only=True)
      …                    whatever the task's `save` writes; for VidLA what `training.vidla.load` opens
    RUN/best/              the task's files alone, of the best held-out score so far

A checkpoint is written beside its place and renamed when it is complete; `checkpoint.json` is the last file of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError

from runtime.errors import MachineError, UserError, one_line
from runtime.log import get_logger
from shards.storage.files import file_sha256, new_folder
from training.engine.random_state import set_random_state
from training.engine.training_task import TrainingTask

FOLDER: Final = "checkpoints"
BEST: Final = "best"
_RECORD: Final = "checkpoint.json"
_STATE: Final = "train_state.pt"
_FORMAT: Final = 1
_NAME: Final = re.compile(r"step-(\d{8,})")

_log = get_logger(__name__)


@dataclass(frozen=True)
class RunIdentity:
    """What must be the same for a run to go on from a checkpoint."""

    global_batch: int
    """Rows (clips, blocks) in a step, over all ranks."""
    data: str
    """`Batches.identity`."""
    architecture: Mapping[str, Any]
    """Plain values that rebuild the model."""


@dataclass(frozen=True)
class CheckpointRecord:
    """``checkpoint.json``."""

    step: int
    """Steps done."""
    identity: RunIdentity
    settings: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Size and SHA-256 of each file, by name."""
    format: int = _FORMAT


class CutShort(UserError):
    """A checkpoint that is not what was written."""


def save_checkpoint(
    run: Path,
    task: TrainingTask,
    optimizer: torch.optim.Optimizer,
    random_states: list[Any],
    record: CheckpointRecord,
    keep: int,
) -> Path:
    """Write a checkpoint and remove all but the last `keep`; on rank 0 only.

    Args:
        run: the run's folder.
        task: what is trained.
        optimizer: its state is saved whole.
        random_states: `random_state()` of every rank, in order.
        record: `files` is filled in here.
        keep: checkpoints that stay.

    Returns:
        The checkpoint's folder.

    Raises:
        MachineError: it can't be written; what was there before stays.
    """
    folder = run / FOLDER / f"step-{record.step:08d}"
    with _written(folder) as partial:
        task.save(partial)
        _write_state(partial / _STATE, {"optimizer": optimizer.state_dict(), "random": random_states})
        names = sorted(path.name for path in partial.iterdir())
        files = {name: ((partial / name).stat().st_size, file_sha256(partial / name)) for name in names}
        _write_json(partial / _RECORD, asdict(record) | {"files": files})
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)
    return folder


def save_best(run: Path, task: TrainingTask, facts: Mapping[str, Any]) -> None:
    """Replace ``RUN/best`` by the task's files as they are now, with `facts` (step, scores) in ``score.json``.

    Raises:
        MachineError: it can't be written; what was there before stays.
    """
    with _written(run / BEST) as partial:
        task.save(partial)
        _write_json(partial / "score.json", dict(facts))


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, whole or not, oldest first; folders that a user made beside them are none."""
    return sorted(path for path in (run / FOLDER).glob("step-*") if _NAME.fullmatch(path.name))


def newest(run: Path) -> Path | None:
    """The newest whole checkpoint of a run, none where there are no checkpoints.

    One that is cut short is named in a warning and passed over.

    Raises:
        UserError: there are checkpoints, and not one is whole; or the newest is of another format.
        MachineError: the newest can't be read.
    """
    found = checkpoints(run)
    for folder in reversed(found):
        try:
            read_record(folder)
        except CutShort as cut:
            _log.warning("%s; going back to the one before", cut)
            continue
        return folder
    if found:
        raise UserError(
            f"--output {run}: not one of its {len(found)} checkpoints is whole; begin anew in another folder, or move "
            f"{run / FOLDER} away"
        )
    return None


def read_record(folder: Path) -> CheckpointRecord:
    """The record of a checkpoint, after a look at the size of each of its files.

    Raises:
        CutShort: it is damaged, or a file of it is missing.
        UserError: no checkpoint, or one of another format.
        MachineError: it is there and can't be read.
    """
    try:
        values = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        if values["format"] != _FORMAT:
            raise UserError(f"--resume {folder}: checkpoint format {values['format']}, this version reads {_FORMAT}")
        identity = RunIdentity(**values.pop("identity"))
        record = CheckpointRecord(identity=identity, **values)
    except (FileNotFoundError, NotADirectoryError):
        raise CutShort(f"--resume {folder}: no {_RECORD}; name a folder step-… of a run") from None
    except OSError as error:
        raise MachineError(f"--resume {folder}: {_RECORD} can't be read ({error.strerror})") from None
    except (KeyError, TypeError, ValueError):
        raise CutShort(f"--resume {folder}: {_RECORD} can't be read; the checkpoint is damaged") from None
    for name, (size, _) in record.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise CutShort(f"--resume {folder}: {name} is missing or cut short; use an older checkpoint")
    return record


def restore(
    folder: Path, record: CheckpointRecord, task: TrainingTask, optimizer: torch.optim.Optimizer, rank: int
) -> None:
    """Bring task, optimizer and this rank's random state to where the checkpoint was written.

    Raises:
        UserError: a file is not what was written.
    """
    for name, (_, digest) in record.files.items():
        if file_sha256(folder / name) != digest:
            raise UserError(f"--resume {folder}: {name} is damaged (its SHA-256 differs); use an older checkpoint")
    task.restore(folder)
    state = torch.load(folder / _STATE, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(_with_own_settings(state["optimizer"], optimizer, folder))
    if rank < len(state["random"]):
        set_random_state(state["random"][rank])


def _with_own_settings(saved: dict[str, Any], optimizer: torch.optim.Optimizer, folder: Path) -> dict[str, Any]:
    """The saved moments, under this run's own settings (decay, betas, rates): those may be changed on purpose."""
    mine = optimizer.state_dict()["param_groups"]
    names = [[group.get("param_names") for group in groups] for groups in (saved["param_groups"], mine)]
    if names[0] != names[1]:
        raise UserError(
            f"--resume {folder}: other parameters decay, or are new, than when the run was begun (optim.decay_exempt, "
            "optim.lr_new); resume with those settings, or start a new --output"
        )
    groups = [own | {"params": old["params"]} for own, old in zip(mine, saved["param_groups"], strict=True)]
    return {**saved, "param_groups": groups}


def drop_after(run: Path, step: int) -> None:
    """Remove checkpoints of later steps: the run went back behind them, and they are no longer its own."""
    for folder in checkpoints(run):
        if int(folder.name.removeprefix("step-")) > step:
            _log.warning("%s is removed: the run goes on from step %d", folder, step)
            shutil.rmtree(folder)


def best_score(run: Path, best_by: str) -> float | None:
    """The score of ``RUN/best``; None where there is none."""
    try:
        facts = json.loads((run / BEST / "score.json").read_text(encoding="utf-8"))
        return float(facts["scores"][best_by])
    except (OSError, KeyError, TypeError, ValueError):
        return None


def check_same_run(folder: Path, record: CheckpointRecord, now: RunIdentity) -> None:
    """Refuse to go on where the order of the data or the meaning of a step would change.

    Raises:
        UserError: another architecture (the differences are listed), global batch, or data.
    """
    differences = _differences(record.identity.architecture, now.architecture)
    if differences:
        raise UserError(f"--resume {folder}: another architecture: {'; '.join(differences)}")
    if record.identity.global_batch != now.global_batch:
        raise UserError(
            f"--batch-size {now.global_batch}: the run was begun with {record.identity.global_batch} rows a step, and "
            "its position in the data counts such steps; resume with that, or start a new --output"
        )
    if record.identity.data != now.data:
        raise UserError(
            f"--resume {folder}: the data is not the one the run was begun with (files, layers, texts, seed or "
            "clips_per_root differ), so its position means nothing there; resume with that, or start a new --output"
        )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    found = []
    for name in sorted({*then, *now}):
        old, new = then.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differences(old, new, f"{path}{name}.")
        elif json.dumps(old) != json.dumps(new):
            found.append(f"{path}{name} was {old}, is {new}")
    return found


@contextmanager
def _written(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, put in the place of `folder` when the block has ended.

    After a fault it is removed: on a full disk, room is made for what the user does next.

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
    except RuntimeError as fault:  # what torch's writer makes of a full disk
        raise OSError(f"the disk is full or gone: {one_line(fault, keep='first')}") from fault
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        json.dump(values, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
