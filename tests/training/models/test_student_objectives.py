"""The registry of the student's objectives: weights, heads, and what each needs."""

from __future__ import annotations

import subprocess
import sys

import torch
from pydantic import Field

from training.models.vidlankd.objectives.objective import Objective, ObjectiveSettings, StudentOutputs, Target
from training.models.vidlankd.objectives.student_loss_weights import (
    OBJECTIVES,
    StudentLossSettings,
    heads_of_kind,
    objective_sums,
)


def test_every_objective_has_a_weight_setting_of_its_name() -> None:
    assert set(OBJECTIVES) <= set(StudentLossSettings.model_fields)


def test_objectives_are_reported_in_the_order_of_the_settings() -> None:
    fields = [name for name in StudentLossSettings.model_fields if name in OBJECTIVES]
    assert fields == list(OBJECTIVES)
    assert list(OBJECTIVES)[:3] == ["mlm", "nst", "crd"]


def test_only_objectives_with_a_weight_are_active() -> None:
    settings = StudentLossSettings(nst=0, crd=0, l2=0.5, soft_labels=2)
    assert settings.weights == {"mlm": 1.0, "l2": 0.5, "soft_labels": 2.0}
    assert settings.heads == ("l2",)
    assert settings.distilling == ("l2", "soft_labels")


def test_tokens_are_predicted_for_mlm_or_soft_labels_only() -> None:
    assert StudentLossSettings(nst=0, crd=0).predicts
    assert StudentLossSettings(mlm=0, nst=0, crd=0, soft_labels=1).predicts
    assert not StudentLossSettings(mlm=0).predicts


def test_heads_into_the_teachers_space_are_those_that_grounding_can_use() -> None:
    assert heads_of_kind("teacher_space") == ("crd", "contrastive_in_batch", "l2")


def test_crd_is_zero_until_its_queue_is_full() -> None:
    settings = StudentLossSettings(mlm=0, nst=0)
    target = Target(torch.zeros(0), torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 2, 3))
    outputs = {"crd": torch.ones(1, 2, 3, requires_grad=True)}
    assert objective_sums(outputs, target, settings)["crd"].item() == 0.0


def test_an_objective_is_registered_by_its_settings_class_alone() -> None:
    def loss_sum(outputs: StudentOutputs, target: Target, settings: NormSettings) -> torch.Tensor:
        return outputs["norm"].norm() * settings.norm_scale

    class NormSettings(ObjectiveSettings):
        objective = Objective("norm", loss_sum, head="student_width", needs_teacher=False)
        norm: float = Field(default=1.0, ge=0)
        norm_scale: float = 2.0

    class ExtendedLossSettings(NormSettings, StudentLossSettings):
        """Settings with one objective more."""

    settings = ExtendedLossSettings(mlm=0, nst=0, crd=0, norm=3.0)
    target = Target(torch.zeros(0), torch.ones(1, 1, dtype=torch.bool))
    assert settings.weights == {"norm": 3.0}
    assert objective_sums({"norm": torch.tensor([3.0, 4.0])}, target, settings) == {"norm": torch.tensor(10.0)}


def test_loss_weights_are_read_without_importing_torch() -> None:
    program = (
        "import sys; from training.models.vidlankd.objectives.student_loss_weights import StudentLossSettings; "
        "StudentLossSettings(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
