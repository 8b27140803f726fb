"""Contrastive distillation within the batch, which the released code trains instead of CRD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from training.models.vidlankd.objectives.objective import Objective, ObjectiveSettings, StudentOutputs, Target

if TYPE_CHECKING:
    import torch


def _loss_sum(outputs: StudentOutputs, target: Target, settings: InBatchSettings) -> torch.Tensor:
    from training.models.vidlankd.losses import contrastive_in_batch

    student_BLG, temperature = outputs["contrastive_in_batch"], settings.contrastive_temperature
    return contrastive_in_batch(student_BLG, target.teacher_states_BLG, target.valid_BL, temperature, reduction="sum")


class InBatchSettings(ObjectiveSettings):
    """Settings of contrastive distillation within the batch."""

    objective = Objective("contrastive_in_batch", _loss_sum, head="teacher_space")

    contrastive_in_batch: float = Field(default=0.0, ge=0)
    """Weight of contrastive distillation within the batch, which the released code trains instead of CRD. Its negatives
    come from a rank's micro-batch."""
    contrastive_temperature: float = Field(default=1.0, gt=0)
    """Temperature of `contrastive_in_batch`; 1 in the released code."""
