"""Settings of a resumed run that its checkpoint decides, unless the user gives them.

A default may change between versions, or follow the data. A run that is resumed goes on with what it was begun with:
the values in its checkpoint's record, and for settings that the record does not have the meaning from before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training.engine.checkpoints.run_folder import checkpoint_to_resume, read_record

BEFORE: Final[Mapping[str, Any]] = {
    "model.temperature": 0.07,
    "data.clips_per_root": 2,
    "data.window_batches": 0.0,
    "data.repeat_clips": True,
    "data.epoch_of": "roots",
    "data.augment.jitter": False,
    "data.augment.flip_directions": True,
    "evaluation.select_on": "test",
    "loss.same_text": "keep",
    "loss.terms": {"subtitle": "subtitle_summary", "caption": "caption_summary"},
}
"""Settings whose default has changed, with the value in runs whose record does not have them."""


def resumed_settings(output: Path, resume: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the checkpoint to resume that replace defaults; none if there is no checkpoint.

    Args:
        output: the run's folder.
        resume: ``never``, ``auto`` or the folder of a checkpoint.
        asked: settings that the user gives, by branch; they are left out.

    Raises:
        UserError: as `training.engine.checkpoints.run_folder.checkpoint_to_resume`.
    """
    folder = None if resume == "never" else checkpoint_to_resume(output, resume)
    if folder is None:
        return {}
    recorded = read_record(folder).settings
    settings: dict[str, Any] = {}
    for path, before in BEFORE.items():
        *branches, name = path.split(".")
        if name not in _branch(asked, branches):
            target = settings
            for branch in branches:
                target = target.setdefault(branch, {})
            target[name] = _branch(recorded, branches).get(name, before)
    return settings


def _branch(values: Mapping[str, Any], branches: list[str]) -> Mapping[str, Any]:
    """Return the settings of a branch; empty if it is not given."""
    for branch in branches:
        inner = values.get(branch)
        values = inner if isinstance(inner, Mapping) else {}
    return values
