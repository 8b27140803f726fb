"""All settings of ``train-vidlankd teacher`` and ``student``: one tree each, each branch beside the code that reads it.

The optimizer and the length of a run are those of VidLanKD, not the engine's own defaults; `TEACHER` and `STUDENT` hold
them, below whatever the user sets.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import model_validator

from runtime.settings import Settings
from training.corpus.block_batches import TextSettings
from training.engine.engine_settings import ComputeSettings, LoopSettings, OptimSettings
from training.models.vidlankd.objectives.student_loss_weights import StudentLossSettings
from training.models.vidlankd.student_model import StudentModelSettings
from training.models.vidlankd.teacher_model import TeacherModelSettings
from training.vidlankd.student.teacher_states import StatesSettings
from training.vidlankd.teacher.clip_text_batches import ClipTextSettings
from training.vidlankd.teacher.teacher_task import TeacherLossSettings

_ADAMW: Final[dict[str, Any]] = {
    "schedule": "linear",
    "lr_end": 0.0,
    "eps": 1e-6,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
}

_LENGTHS: Final = ("steps", "epochs", "samples")

TEACHER: Final[dict[str, Any]] = {
    "optim": {**_ADAMW, "lr": 5e-5},
    "loop": {"epochs": 20.0, "batch_size": 64},
}
"""The released scripts' numbers (12 layers); their flag says 200 epochs, their README uses a checkpoint of epoch 19."""

STUDENT: Final[dict[str, Any]] = {
    "optim": {**_ADAMW, "lr": 2e-4, "warmup": 0.01},
    "loop": {"steps": 500_000, "batch_size": 256},
}
"""The released scripts' numbers for 12 layers on English Wikipedia (a warm-up of 5,000 steps is 1 % of them); its
text-only baseline has 220,000 steps there, and here as many as the student."""


class TeacherSettings(Settings):
    """The whole of a teacher's run."""

    model: TeacherModelSettings = TeacherModelSettings()
    data: ClipTextSettings = ClipTextSettings()
    loss: TeacherLossSettings = TeacherLossSettings()
    optim: OptimSettings = OptimSettings()
    loop: LoopSettings = LoopSettings()
    compute: ComputeSettings = ComputeSettings()

    @model_validator(mode="after")
    def _has_negatives(self) -> TeacherSettings:
        if self.loss.contrastive and self.loop.batch_size < 2:
            raise ValueError(
                "loop.batch_size=1: a clip is told apart from others of its batch; take --batch-size 2 or more, or set "
                "loss.contrastive=0"
            )
        return self


class StudentSettings(Settings):
    """The whole of a student's run."""

    model: StudentModelSettings = StudentModelSettings()
    data: TextSettings = TextSettings()
    teacher: StatesSettings = StatesSettings()
    loss: StudentLossSettings = StudentLossSettings()
    optim: OptimSettings = OptimSettings()
    loop: LoopSettings = LoopSettings()
    compute: ComputeSettings = ComputeSettings()


def with_length(defaults: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The defaults, without their length where the user sets one.

    Args:
        defaults: `TEACHER` or `STUDENT`.
        asked: the branch `loop` of what the user sets.
    """
    if all(asked.get(name) is None for name in _LENGTHS):
        return defaults
    return {**defaults, "loop": {name: value for name, value in defaults["loop"].items() if name not in _LENGTHS}}
