"""Soft labels (Hinton et al. 2015): match the teacher's predictions at the masked positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from training.models.vidlankd.objectives.objective import Objective, ObjectiveSettings, StudentOutputs, Target

if TYPE_CHECKING:
    import torch


def _loss_sum(outputs: StudentOutputs, target: Target, settings: SoftLabelSettings) -> torch.Tensor:
    from training.models.vidlankd.losses import soft_labels

    assert target.logits_MV is not None
    return soft_labels(outputs["mlm"], target.logits_MV, settings.soft_temperature, reduction="sum")


class SoftLabelSettings(ObjectiveSettings):
    """Settings of soft labels."""

    objective = Objective("soft_labels", _loss_sum, mean_over="labels", predicts_tokens=True)

    soft_labels: float = Field(default=0.0, ge=0)
    """Weight of the divergence of the student's predictions from the teacher's; the released code has 1000 in a
    comment."""
    soft_temperature: float = Field(default=1.0, gt=0)
    """Temperature of `soft_labels`."""
