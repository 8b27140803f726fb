"""Settings of ``train-vidlankd teacher`` and ``student``: one tree each; each branch is defined beside its code.

Optimizer and length of a run are those of VidLanKD and not the engine's own defaults. `TEACHER`, `STUDENT` and
`TEXT_ALONE` hold them; whatever the user sets takes precedence. Loss weights:
`training.models.vidlankd.objectives.student_loss_weights` and `training.vidlankd.teacher.teacher_loss`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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

_LENGTHS: Final = ("steps", "epochs", "samples")
"""Settings of `loop` that give the length of a run; one of them is set."""


@dataclass(frozen=True)
class RecipeDefaults:
    """Values that a recipe sets in the place of the engine's own defaults."""

    optim: OptimSettings
    loop: LoopSettings
    loss: StudentLossSettings | None = None

    def below(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values as plain settings, without the length of the run if the user sets one.

        Args:
            asked: the settings that the user sets.
        """
        values = {name: branch.model_dump(exclude_unset=True) for name, branch in self._branches().items()}
        if any(asked.get("loop", {}).get(name) is not None for name in _LENGTHS):
            values["loop"] = {name: value for name, value in values["loop"].items() if name not in _LENGTHS}
        return values

    def _branches(self) -> dict[str, Settings]:
        return {"optim": self.optim, "loop": self.loop, **({"loss": self.loss} if self.loss else {})}


_ADAMW: Final = OptimSettings(schedule="linear", lr_end=0.0, eps=1e-6, weight_decay=0.01, clip_norm=1.0)

TEACHER: Final = RecipeDefaults(_ADAMW.model_copy(update={"lr": 5e-5}), LoopSettings(epochs=20.0, batch_size=64))
"""Numbers of the released scripts (12 layers). Their flag says 200 epochs; their README uses the checkpoint of epoch
19."""

STUDENT: Final = RecipeDefaults(
    _ADAMW.model_copy(update={"lr": 2e-4, "warmup": 0.01}), LoopSettings(steps=500_000, batch_size=256)
)
"""Numbers of the released scripts for 12 layers on English Wikipedia (a warm-up of 5,000 steps is 1 % of them). Their
text-only baseline runs for 220,000 steps; here it runs for as many as the student."""

TEXT_ALONE: Final = replace(STUDENT, loss=StudentLossSettings(nst=0.0, crd=0.0))
"""Defaults of a student without a teacher: masked language modelling only."""


class TeacherSettings(Settings):
    """Settings of a teacher's run."""

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
                "loop.batch_size=1: the contrastive loss needs other clips of the batch; set --batch-size to 2 or "
                "more, or set loss.contrastive=0"
            )
        return self


class StudentSettings(Settings):
    """Settings of a student's run."""

    model: StudentModelSettings = StudentModelSettings()
    data: TextSettings = TextSettings()
    teacher: StatesSettings = StatesSettings()
    loss: StudentLossSettings = StudentLossSettings()
    optim: OptimSettings = OptimSettings()
    loop: LoopSettings = LoopSettings()
    compute: ComputeSettings = ComputeSettings()
