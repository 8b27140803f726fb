"""What a student is trained on: masked language modelling, and the ways to follow a teacher, each by its weight.

`training.vidlankd.student.student_task` computes states and predictions and asks `shares` for the terms of a part of the batch:
sums, which divided by the counts of the whole global batch add up over parts and ranks to the means of that batch.

Shapes: B rows, L tokens, H width of the student, G width of the teacher, M masked positions, V vocabulary, Q queue.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from pydantic import Field, model_validator

from runtime.settings import Settings
from training.models.vidlankd.losses import (
    Kernel,
    contrastive_in_batch,
    crd,
    fitnet,
    l2_regression,
    masked_lm,
    nst,
    soft_labels,
)

MLM: Final = "mlm"
HEADS: Final = ("nst", "crd", "contrastive_in_batch", "l2", "fitnet")
"""Objectives that compare states, through a head of their own."""
DISTILLING: Final = (*HEADS, "soft_labels")
"""Objectives that need a teacher."""
_COUNTED: Final = {MLM: "labels", "soft_labels": "labels", "nst": "rows"}
"""What a term's mean goes over; tokens where nothing stands here."""
_RELEASED_ROWS: Final = 32
"""Rows that the released scripts give each GPU; their NST sums over these."""


class StudentLossSettings(Settings):
    """Weights of the objectives; 0 leaves one out. The paper: MLM + NST + CRD, each 1."""

    mlm: float = Field(default=1.0, ge=0)
    """Masked language modelling."""
    nst: float = Field(default=1.0, ge=0)
    """Neuron selectivity transfer. Its gradient is small: in a new student at weight 1 about a hundredth of MLM's
    (`python -m bench.kd_gradients`); weigh it up to have it felt."""
    crd: float = Field(default=1.0, ge=0)
    """Contrastive representation distillation."""
    contrastive_in_batch: float = Field(default=0.0, ge=0)
    """What the released code trains in the place of CRD; its negatives are those of a rank's micro-batch."""
    l2: float = Field(default=0.0, ge=0)
    """Squared distance of student's and teacher's vectors of length 1."""
    fitnet: float = Field(default=0.0, ge=0)
    """FitNet: squared error of a linear regressor of the teacher's states."""
    soft_labels: float = Field(default=0.0, ge=0)
    """Divergence of the predictions from the teacher's; the released code has 1000 in comments."""
    nst_kernel: Kernel = "gaussian"
    """`gaussian` (the paper), `polynomial` (fastest), or `released` (polynomial, summed over 32 rows and divided by the
    length of a row, as in the published code)."""
    temperature: float = Field(default=0.07, ge=0.0125)
    """Of CRD; below 1/80 the exponential of a cosine over it is no float32."""
    queue: int = Field(default=16384, ge=1)
    """Teacher vectors that CRD takes its negatives from; no CRD until the first batches have filled it."""
    contrastive_temperature: float = Field(default=1.0, gt=0)
    """Of `contrastive_in_batch`; 1 in the released code."""
    soft_temperature: float = Field(default=1.0, gt=0)
    """Of `soft_labels`."""

    @model_validator(mode="after")
    def _something(self) -> StudentLossSettings:
        if not self.weights:
            raise ValueError("mlm=0 and every other weight is 0: nothing would be trained; leave mlm=1")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """Of the objectives that take part, by name."""
        return {name: weight for name in (MLM, *DISTILLING) if (weight := getattr(self, name)) > 0}

    @property
    def heads(self) -> tuple[str, ...]:
        """Objectives that take part and have a head."""
        return tuple(name for name in HEADS if name in self.weights)

    @property
    def distilling(self) -> tuple[str, ...]:
        """Objectives that take part and need a teacher."""
        return tuple(name for name in DISTILLING if name in self.weights)

    @property
    def predicts(self) -> bool:
        """Whether any objective needs the prediction of masked tokens."""
        return self.mlm > 0 or self.soft_labels > 0


@dataclass(frozen=True)
class Target:
    """What one part of a batch is compared with."""

    labels_M: torch.Tensor
    """Tokens at the chosen positions."""
    valid_BL: torch.Tensor
    states_BLG: torch.Tensor | None = None
    """The teacher's, of length 1."""
    logits_MV: torch.Tensor | None = None
    """The teacher's, for `soft_labels`."""
    queue_QG: torch.Tensor | None = None
    """Negatives of CRD; None until the queue is full: CRD is then 0."""
    normaliser: torch.Tensor | None = None
    """Z of CRD."""


@dataclass(frozen=True)
class Counts:
    """What means go over: of a part, a rank's share or the global batch, as scalars on the model's device."""

    labels: torch.Tensor
    rows: torch.Tensor
    tokens: torch.Tensor

    def of(self, term: str) -> torch.Tensor:
        """What the mean of a term goes over; at least 1."""
        count: torch.Tensor = getattr(self, _COUNTED.get(term, "tokens"))
        return count.clamp(min=1)


def shares(found: Mapping[str, torch.Tensor], target: Target, settings: StudentLossSettings) -> dict[str, torch.Tensor]:
    """The terms that take part, as sums over what `Counts.of` counts.

    Args:
        found: of `Student.forward`.
        target: of the same rows.
        settings: weights, kernel, temperatures.
    """
    return {name: _TERMS[name](found, target, settings) for name in settings.weights}


Term = Callable[[Mapping[str, torch.Tensor], Target, StudentLossSettings], torch.Tensor]


def _mlm(found: Mapping[str, torch.Tensor], target: Target, settings: StudentLossSettings) -> torch.Tensor:
    return masked_lm(found[MLM], target.labels_M, reduction="sum")


def _soft_labels(found: Mapping[str, torch.Tensor], target: Target, settings: StudentLossSettings) -> torch.Tensor:
    assert target.logits_MV is not None
    return soft_labels(found[MLM], target.logits_MV, settings.soft_temperature, reduction="sum")


def _nst(found: Mapping[str, torch.Tensor], target: Target, settings: StudentLossSettings) -> torch.Tensor:
    total = nst(found["nst"], _states(target), target.valid_BL, settings.nst_kernel, reduction="sum")
    return total * _RELEASED_ROWS if settings.nst_kernel == "released" else total


def _crd(found: Mapping[str, torch.Tensor], target: Target, settings: StudentLossSettings) -> torch.Tensor:
    if target.queue_QG is None or target.normaliser is None:
        return found["crd"].float().sum() * 0.0  # the head takes part: ranks wait for its gradient
    return crd(
        found["crd"],
        _states(target),
        target.valid_BL,
        target.queue_QG,
        target.normaliser,
        settings.temperature,
        reduction="sum",
    )


def _contrastive(found: Mapping[str, torch.Tensor], target: Target, settings: StudentLossSettings) -> torch.Tensor:
    own, temperature = found["contrastive_in_batch"], settings.contrastive_temperature
    return contrastive_in_batch(own, _states(target), target.valid_BL, temperature, reduction="sum")


def _l2(found: Mapping[str, torch.Tensor], target: Target, settings: StudentLossSettings) -> torch.Tensor:
    return l2_regression(found["l2"], _states(target), target.valid_BL, reduction="sum")


def _fitnet(found: Mapping[str, torch.Tensor], target: Target, settings: StudentLossSettings) -> torch.Tensor:
    """States of length 1 are brought back to a mean square of 1, which BERT's last layer norm gives them."""
    states_BLG = _states(target)
    scaled_BLG = states_BLG * math.sqrt(states_BLG.shape[2])
    return fitnet(found["fitnet"], scaled_BLG, target.valid_BL, reduction="sum")


def _states(target: Target) -> torch.Tensor:
    assert target.states_BLG is not None
    return target.states_BLG


_TERMS: Final[Mapping[str, Term]] = {
    MLM: _mlm,
    "soft_labels": _soft_labels,
    "nst": _nst,
    "crd": _crd,
    "contrastive_in_batch": _contrastive,
    "l2": _l2,
    "fitnet": _fitnet,
}
