"""Loss weights of the student, and the registry of its objectives.

A new objective is one file in this folder and one line here: its settings class among the bases of
`StudentLossSettings`. `training.vidlankd.student.student_task` computes states and predictions and asks
`objective_sums` for the terms of a part of the batch. They are sums: divided by the counts of the global batch
(`Objective.mean_over`) they add up over parts and ranks to the means over that batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pydantic import model_validator

from training.models.vidlankd.objectives.crd_objective import CrdSettings
from training.models.vidlankd.objectives.fitnet_objective import FitnetSettings
from training.models.vidlankd.objectives.in_batch_objective import InBatchSettings
from training.models.vidlankd.objectives.l2_objective import L2Settings
from training.models.vidlankd.objectives.mlm_objective import MlmSettings
from training.models.vidlankd.objectives.nst_objective import NstSettings
from training.models.vidlankd.objectives.objective import (
    HeadKind,
    Objective,
    ObjectiveSettings,
    StudentOutputs,
    Target,
)
from training.models.vidlankd.objectives.soft_label_objective import SoftLabelSettings

if TYPE_CHECKING:
    import torch


class StudentLossSettings(
    # The last base comes first in reports and in the settings shown; a new objective goes to the top.
    SoftLabelSettings,
    FitnetSettings,
    L2Settings,
    InBatchSettings,
    CrdSettings,
    NstSettings,
    MlmSettings,
):
    """Weights of the objectives; 0 switches one off. The paper uses MLM + NST + CRD, each with weight 1."""

    @model_validator(mode="after")
    def _has_an_objective(self) -> StudentLossSettings:
        if not self.weights:
            raise ValueError("mlm=0 and every other weight is 0: nothing would be trained; leave mlm=1")
        return self

    @classmethod
    def registered(cls) -> dict[str, Objective]:
        """Return the objectives of all bases by name, in the order of reports."""
        bases = [base for base in reversed(cls.__mro__) if issubclass(base, ObjectiveSettings)]
        return {base.objective.name: base.objective for base in bases if "objective" in vars(base)}

    @property
    def active(self) -> tuple[Objective, ...]:
        """Objectives with a weight above 0, in the order of reports."""
        return tuple(objective for objective in self.registered().values() if getattr(self, objective.name) > 0)

    @property
    def weights(self) -> dict[str, float]:
        """Weights above 0, by objective."""
        return {objective.name: getattr(self, objective.name) for objective in self.active}

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the active objectives that have a head."""
        return tuple(objective.name for objective in self.active if objective.head)

    @property
    def distilling(self) -> tuple[str, ...]:
        """Names of the active objectives that need a teacher."""
        return tuple(objective.name for objective in self.active if objective.needs_teacher)

    @property
    def predicts(self) -> bool:
        """True if an active objective needs predictions of masked tokens."""
        return any(objective.predicts_tokens for objective in self.active)


OBJECTIVES: Final[Mapping[str, Objective]] = StudentLossSettings.registered()
"""All objectives by name, in the order of reports."""


def objective_sums(outputs: StudentOutputs, target: Target, settings: StudentLossSettings) -> dict[str, torch.Tensor]:
    """Compute the active objectives of some rows, each summed over what its `mean_over` names.

    Args:
        outputs: of `training.models.vidlankd.student_model.Student.forward`.
        target: of the same rows.
        settings: weights, kernel, temperatures.
    """
    return {objective.name: objective.loss_sum(outputs, target, settings) for objective in settings.active}


def heads_of_kind(*kinds: HeadKind) -> tuple[str, ...]:
    """Return the names of the objectives whose head is of one of these kinds."""
    return tuple(objective.name for objective in OBJECTIVES.values() if objective.head in kinds)
