"""The interface of a student's training objective: its weight setting, its head, its loss and its count.

An objective is one file, `*_objective.py`, with a `Settings` class that declares the weight (a field with its
name), other settings, and an `Objective`. It takes part once its class is a base of
`training.models.vidlankd.objectives.student_loss_weights.StudentLossSettings`.

Loss functions are imported when they are called: settings can be shown without importing PyTorch.

Shapes: B rows, L tokens, H width of the student, G width of the teacher, M masked positions, V vocabulary, Q queue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from runtime.settings import Settings

if TYPE_CHECKING:
    import torch

HeadKind = Literal["student_width", "teacher_space", "regressor"]
"""Shape of an objective's head: `student_width`, a perceptron that keeps the student's width; `teacher_space`, a
perceptron into the teacher's space; `regressor`, a single linear map into the teacher's space."""

MeanOver = Literal["labels", "rows", "tokens"]
"""Count that an objective's mean is taken over: masked tokens, rows, or valid tokens of the global batch."""


@dataclass(frozen=True)
class Target:
    """Labels and teacher's outputs for one part of a batch."""

    labels_M: torch.Tensor
    """Tokens at the masked positions."""
    valid_BL: torch.Tensor
    """bool: false on padding."""
    states_BLG: torch.Tensor | None = None
    """Last hidden states of the teacher, each of length 1."""
    logits_MV: torch.Tensor | None = None
    """Predictions of the teacher, for `soft_labels`."""
    queue_QG: torch.Tensor | None = None
    """Negatives of CRD; None until the queue is full: CRD is 0 until then."""
    normaliser: torch.Tensor | None = None
    """Z of CRD."""

    @property
    def teacher_states_BLG(self) -> torch.Tensor:
        """The teacher's states; they exist for every objective that needs a teacher."""
        assert self.states_BLG is not None
        return self.states_BLG


StudentOutputs = Mapping[str, "torch.Tensor"]
"""Outputs of `training.models.vidlankd.student_model.Student.forward`, by objective."""

LossSum = Callable[[StudentOutputs, Target, Any], "torch.Tensor"]
"""Compute a loss, summed over what `Objective.mean_over` names; the settings are those of the objective's own class."""


@dataclass(frozen=True)
class Objective:
    """A registered training objective."""

    name: str
    """Name of its weight setting, of its head, and of its term in reports."""
    loss_sum: LossSum
    mean_over: MeanOver = "tokens"
    head: HeadKind | None = None
    """Head through which the student's states are compared with the teacher's; None: it compares no states."""
    needs_teacher: bool = True
    predicts_tokens: bool = False
    """True if it needs the student's predictions at the masked positions."""


class ObjectiveSettings(Settings):
    """Base of the settings of one objective."""

    objective: ClassVar[Objective]
