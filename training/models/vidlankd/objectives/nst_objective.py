"""Neuron selectivity transfer (Huang and Wang 2017): match the patterns in which neurons respond to tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import Field

from training.models.vidlankd.nst_kernel import Kernel
from training.models.vidlankd.objectives.objective import Objective, ObjectiveSettings, StudentOutputs, Target

if TYPE_CHECKING:
    import torch

_RELEASED_ROWS: Final = 32
"""Rows that the released scripts give each GPU; their NST is a sum over these."""


def _loss_sum(outputs: StudentOutputs, target: Target, settings: NstSettings) -> torch.Tensor:
    from training.models.vidlankd.losses import nst

    total = nst(outputs["nst"], target.teacher_states_BLG, target.valid_BL, settings.nst_kernel, reduction="sum")
    return total * _RELEASED_ROWS if settings.nst_kernel == "released" else total


class NstSettings(ObjectiveSettings):
    """Settings of neuron selectivity transfer."""

    objective = Objective("nst", _loss_sum, mean_over="rows", head="student_width")

    nst: float = Field(default=1.0, ge=0)
    """Weight of neuron selectivity transfer. Its gradient is small: in a new student, weight 1 gives about a hundredth
    of the gradient of MLM (`python -m bench.kd_gradients`). Raise the weight to make it count."""
    nst_kernel: Kernel = "gaussian"
    """Kernel of NST: `gaussian` (the paper), `polynomial` (fastest), or `released` (polynomial, summed over 32 rows and
    divided by the length of a row, as in the published code)."""
