"""FitNet (Romero et al. 2015): a linear regressor predicts the teacher's hidden states."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from training.models.vidlankd.objectives.objective import Objective, ObjectiveSettings, StudentOutputs, Target

if TYPE_CHECKING:
    import torch


def _loss_sum(outputs: StudentOutputs, target: Target, settings: FitnetSettings) -> torch.Tensor:
    """Compare with the teacher's states scaled to a mean square of 1, as BERT's last layer norm gives them."""
    from training.models.vidlankd.losses import fitnet

    states_BLG = target.teacher_states_BLG
    scaled_BLG = states_BLG * math.sqrt(states_BLG.shape[2])
    return fitnet(outputs["fitnet"], scaled_BLG, target.valid_BL, reduction="sum")


class FitnetSettings(ObjectiveSettings):
    """Settings of FitNet."""

    objective = Objective("fitnet", _loss_sum, head="regressor")

    fitnet: float = Field(default=0.0, ge=0)
    """Weight of FitNet: squared error of a linear regressor of the teacher's states."""
