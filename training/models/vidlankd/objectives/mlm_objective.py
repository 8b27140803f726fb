"""Masked language modelling (Devlin et al. 2019): predict the masked tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from training.models.vidlankd.objectives.objective import Objective, ObjectiveSettings, StudentOutputs, Target

if TYPE_CHECKING:
    import torch


def _loss_sum(outputs: StudentOutputs, target: Target, settings: MlmSettings) -> torch.Tensor:
    from training.models.vidlankd.losses import masked_lm

    return masked_lm(outputs["mlm"], target.labels_M, reduction="sum")


class MlmSettings(ObjectiveSettings):
    """Settings of masked language modelling."""

    objective = Objective("mlm", _loss_sum, mean_over="labels", needs_teacher=False, predicts_tokens=True)

    mlm: float = Field(default=1.0, ge=0)
    """Weight of masked language modelling."""
