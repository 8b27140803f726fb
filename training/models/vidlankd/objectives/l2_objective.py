"""Regression of the teacher's vectors: squared distance of vectors of length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from training.models.vidlankd.objectives.objective import Objective, ObjectiveSettings, StudentOutputs, Target

if TYPE_CHECKING:
    import torch


def _loss_sum(outputs: StudentOutputs, target: Target, settings: L2Settings) -> torch.Tensor:
    from training.models.vidlankd.losses import l2_regression

    return l2_regression(outputs["l2"], target.teacher_states_BLG, target.valid_BL, reduction="sum")


class L2Settings(ObjectiveSettings):
    """Settings of L2 regression."""

    objective = Objective("l2", _loss_sum, head="teacher_space")

    l2: float = Field(default=0.0, ge=0)
    """Weight of the squared distance between student's and teacher's vectors of length 1."""
