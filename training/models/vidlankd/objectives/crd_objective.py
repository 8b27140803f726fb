"""Contrastive representation distillation (Tian et al. 2020) against a queue of the teacher's token vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from training.models.vidlankd.objectives.objective import Objective, ObjectiveSettings, StudentOutputs, Target

if TYPE_CHECKING:
    import torch


def _loss_sum(outputs: StudentOutputs, target: Target, settings: CrdSettings) -> torch.Tensor:
    from training.models.vidlankd.losses import crd

    if target.queue_QG is None or target.normaliser is None:
        return outputs["crd"].float().sum() * 0.0  # DDP waits for a gradient of the head on every rank
    return crd(
        outputs["crd"],
        target.teacher_states_BLG,
        target.valid_BL,
        target.queue_QG,
        target.normaliser,
        settings.temperature,
        reduction="sum",
    )


class CrdSettings(ObjectiveSettings):
    """Settings of contrastive representation distillation."""

    objective = Objective("crd", _loss_sum, head="teacher_space")

    crd: float = Field(default=1.0, ge=0)
    """Weight of contrastive representation distillation."""
    temperature: float = Field(default=0.07, ge=0.0125)
    """Temperature of CRD. Below 1/80 the exponential of a cosine divided by it overflows float32."""
    queue: int = Field(default=16384, ge=1)
    """Length of the queue of teacher vectors that are CRD's negatives. CRD starts once the first batches have filled
    it."""
