"""The folder of a run: its checkpoints with their records, its best model, and the checks before a run uses it.

    RUN/settings.yaml        all settings; `--config` takes it
    RUN/metrics.jsonl        one line per logged step (`training.engine.metrics.run_metrics`)
    RUN/checkpoints/step-00000050/
      checkpoint.json        step, identity of the run, size and hash of each file
      state/, …              see `training.engine.checkpoints.checkpoint`
    RUN/best/                the model of the best held-out score so far, with score.json
    RUN/average/             the averaged weights at the end, with score.json, if the run averages them

Nothing here imports torch: a command refuses a folder that it can't use at once.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from runtime.errors import MachineError, UserError
from runtime.log import get_logger

CHECKPOINTS: Final = "checkpoints"
AVERAGE: Final = "average"
BEST: Final = "best"
SCORE: Final = "score.json"
SETTINGS: Final = "settings.yaml"
"""All settings of a run; `--config` takes it."""
METRICS: Final = "metrics.jsonl"
LOCK: Final = ".lock"
"""Held by the process that writes a run's folder."""
RECORD: Final = "checkpoint.json"
STATE: Final = "state"
"""Folder of a checkpoint's tensors."""
_FORMAT: Final = 2
_READ: Final = (1, _FORMAT)
"""Formats that can be resumed."""
_NAME: Final = re.compile(r"step-(\d{8,})")

_log = get_logger(__name__)


@dataclass(frozen=True)
class RunIdentity:
    """The facts that must be the same for a run to continue from a checkpoint."""

    global_batch: int
    """Rows (clips, blocks) in a step, over all ranks."""
    data: str
    """`Batches.identity`."""
    architecture: Mapping[str, Any]
    """Plain values that rebuild the model."""
    precision: str | None = None
    """Arithmetic of the model: ``bf16`` or ``fp32``; None: not known, as in checkpoints of version 0.1.0."""


@dataclass(frozen=True)
class CheckpointRecord:
    """The contents of ``checkpoint.json``."""

    step: int
    """Steps done."""
    identity: RunIdentity
    settings: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Size and SHA-256 of each file, by name."""
    format: int = _FORMAT


class DamagedCheckpoint(UserError):
    """A checkpoint with a file that is missing, cut short or unreadable."""


def checkpoint_folder(run: Path, step: int) -> Path:
    """Return the folder of a run's checkpoint after `step` steps."""
    return run / CHECKPOINTS / f"step-{step:08d}"


def checkpoint_step(folder: Path) -> int:
    """Return the steps done at a checkpoint, from the name of its folder."""
    return int(folder.name.removeprefix("step-"))


def checkpoints(run: Path) -> list[Path]:
    """Return the checkpoints of a run, whole or not, oldest first; other folders beside them are not among them."""
    return sorted(path for path in (run / CHECKPOINTS).glob("step-*") if _NAME.fullmatch(path.name))


def newest_checkpoint(run: Path) -> Path | None:
    """Return the newest whole checkpoint of a run; None if there are no checkpoints.

    A damaged one is named in a warning and skipped.

    Raises:
        UserError: there are checkpoints and none is whole; or the newest is of another format.
        MachineError: the newest can't be read.
    """
    folders = checkpoints(run)
    for folder in reversed(folders):
        try:
            read_record(folder)
        except DamagedCheckpoint as damage:
            _log.warning("%s; going back to the one before", damage)
            continue
        return folder
    if folders:
        raise UserError(
            f"--output {run}: not one of its {len(folders)} checkpoints is whole; begin anew in another folder, or "
            f"move {run / CHECKPOINTS} away"
        )
    return None


def read_record(folder: Path) -> CheckpointRecord:
    """Read the record of a checkpoint, and check the size of each of its files.

    Raises:
        DamagedCheckpoint: a file is missing, cut short or unreadable.
        UserError: the checkpoint is of another format.
        MachineError: the record exists and can't be read.
    """
    try:
        values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if values["format"] not in _READ:
            raise UserError(f"--resume {folder}: checkpoint format {values['format']}, this version reads {_FORMAT}")
        identity = RunIdentity(**values.pop("identity"))
        record = CheckpointRecord(identity=identity, **values)
    except (FileNotFoundError, NotADirectoryError):
        raise DamagedCheckpoint(f"--resume {folder}: no {RECORD}; name a folder step-… of a run") from None
    except OSError as error:
        raise MachineError(f"--resume {folder}: {RECORD} can't be read ({error.strerror})") from None
    except (KeyError, TypeError, ValueError):
        raise DamagedCheckpoint(f"--resume {folder}: {RECORD} can't be read; the checkpoint is damaged") from None
    for name, (size, _) in record.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise DamagedCheckpoint(f"--resume {folder}: {name} is missing or cut short; use an older checkpoint")
    return record


def best_score(run: Path, best_by: str) -> float | None:
    """Return the score of the run's best model; None if there is no best model yet."""
    try:
        facts = json.loads((run / BEST / SCORE).read_text(encoding="utf-8"))
        return float(facts["scores"][best_by])
    except (OSError, KeyError, TypeError, ValueError):
        return None


def checkpoint_to_resume(run: Path, resume: str) -> Path | None:
    """Return the checkpoint that a run continues from; None: it starts at step 0.

    Args:
        run: the run's folder.
        resume: ``never``, ``auto`` (the newest whole checkpoint, if there is one), or the folder of a checkpoint.

    Raises:
        UserError: the folder holds a run and `resume` is ``never``; the checkpoint is of another run than the folder's;
            or there is no such checkpoint, or no whole one.
        MachineError: a record exists and can't be read.
    """
    own = checkpoints(run)
    if resume == "never" and own:
        raise UserError(f"--output {run}: holds a run; continue it with --resume auto, or name another folder")
    if resume in ("never", "auto"):
        return newest_checkpoint(run)
    folder = Path(resume)
    if not folder.is_dir():
        raise UserError(
            f"--resume {folder}: there is no such folder; --resume auto continues from the newest checkpoint"
        )
    read_record(folder)
    if own and folder.resolve().parent != (run / CHECKPOINTS).resolve():
        raise UserError(
            f"--resume {folder}: is of another run than --output {run}, which has checkpoints of its own; continue "
            "with --resume auto, or name another --output"
        )
    return folder


def check_writable(run: Path) -> None:
    """Make a run's folder, and refuse one that can't be written, before hours of work.

    Raises:
        UserError: it can't be made or written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        probe = run / f".writable-{os.getpid()}"  # ranks may look at the same time
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"--output {run}: can't be written ({error.strerror}); name another folder") from None


def check_same_run(folder: Path, record: CheckpointRecord, now: RunIdentity) -> None:
    """Refuse to continue if the order of the data, the meaning of a step or its arithmetic would change.

    Raises:
        UserError: another architecture (the differences are listed), global batch, data, or precision.
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
            "clips_per_root differ, or the version's rules of masking), so its position means nothing there; resume "
            "with that, or start a new --output"
        )
    if record.identity.precision not in (None, now.precision):
        raise UserError(
            f"compute.precision={now.precision}: the run was begun in {record.identity.precision}; resume it with "
            f"--set compute.precision={record.identity.precision}, or start a new --output"
        )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """List where two architectures differ, one phrase for each value."""
    phrases = []
    for name in sorted({*then, *now}):
        old, new = then.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            phrases += _differences(old, new, f"{path}{name}.")
        elif json.dumps(old) != json.dumps(new):
            phrases.append(f"{path}{name} was {old}, is {new}")
    return phrases
