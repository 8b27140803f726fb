"""Checkpoints of format 1, whose optimizer and random states are one file: they are resumed, and not written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch.distributed.tensor import DTensor

from runtime.errors import UserError
from training.engine.checkpoints.model_folder import load_weights
from training.engine.parallel.distributed import Ranks
from training.engine.random_state import set_random_state
from training.engine.training_task import TrainingTask

_STATE: Final = "train_state.pt"


def restore_single_file(folder: Path, task: TrainingTask, optimizer: torch.optim.Optimizer, ranks: Ranks) -> None:
    """Restore the task, the optimizer and this rank's random state from a checkpoint of format 1.

    Raises:
        UserError: the run is sharded now, or other parameters decay than then.
    """
    if any(isinstance(parameter, DTensor) for parameter in task.module.parameters()):
        raise UserError(
            f"--resume {folder}: is a checkpoint of an older version, which only whole models read; resume it with "
            "--set parallel.kind=ddp until the next checkpoint, then with fsdp"
        )
    load_weights(task.stored, folder)
    task.restore(folder)
    state = torch.load(folder / _STATE, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(_with_own_settings(state["optimizer"], optimizer, folder))
    if ranks.rank < len(state["random"]):
        set_random_state(state["random"][ranks.rank])


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
