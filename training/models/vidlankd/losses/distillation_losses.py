"""Masked language modelling, and the distillation losses that the paper compares with or its code contains.

Shapes: B rows, L tokens, H width, M masked positions, V vocabulary, P valid positions.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from training.models.vidlankd.losses.loss_arithmetic import (
    Reduction,
    at_least_float32,
    normalize,
    reduce,
    without_autocast,
)
from training.models.vidlankd.text_batch import IGNORED


def masked_lm(logits_MV: torch.Tensor, labels_M: torch.Tensor, reduction: Reduction = "mean") -> torch.Tensor:
    """Compute the cross entropy of masked tokens (Devlin et al. 2019), over labels that are not `IGNORED`."""
    with without_autocast(logits_MV.device):
        total = F.cross_entropy(at_least_float32(logits_MV), labels_M, ignore_index=IGNORED, reduction="sum")
    return reduce(total, (labels_M != IGNORED).sum(), reduction)


def soft_labels(
    student_MV: torch.Tensor, teacher_MV: torch.Tensor, temperature: float = 1.0, reduction: Reduction = "mean"
) -> torch.Tensor:
    """Compute the divergence of the student's predictions from the teacher's: KL(teacher || student) * temperature².

    Hinton et al. 2015. Both arguments are logits; the mean is over positions. The released code multiplies by 1,000;
    here that factor belongs to the weight.
    """
    with without_autocast(student_MV.device):
        student_MV = (at_least_float32(student_MV) / temperature).log_softmax(1)
        teacher_MV = (at_least_float32(teacher_MV.detach()) / temperature).log_softmax(1)
        total = F.kl_div(student_MV, teacher_MV, reduction="sum", log_target=True) * temperature**2
    return reduce(total, len(student_MV), reduction)


def l2_regression(
    student_BLH: torch.Tensor, teacher_BLH: torch.Tensor, valid_BL: torch.Tensor, reduction: Reduction = "mean"
) -> torch.Tensor:
    """Compute the squared distance of a token's two vectors, each of length 1 (0 to 4); over valid positions."""
    student_PH, teacher_PH = normalize(student_BLH[valid_BL]), normalize(teacher_BLH.detach()[valid_BL])
    return reduce((student_PH - teacher_PH).square().sum(), len(student_PH), reduction)


def fitnet(
    student_BLH: torch.Tensor, teacher_BLH: torch.Tensor, valid_BL: torch.Tensor, reduction: Reduction = "mean"
) -> torch.Tensor:
    """Compute the mean square difference between the teacher's states and a regressor of the student's.

    Romero et al. 2015, equation 3. The caller applies the regressor, a linear layer. Over valid positions.
    """
    student_PH = at_least_float32(student_BLH[valid_BL])
    teacher_PH = at_least_float32(teacher_BLH.detach()[valid_BL])
    return reduce((student_PH - teacher_PH).square().sum() / student_PH.shape[1], len(student_PH), reduction)


def contrastive_in_batch(
    student_BLH: torch.Tensor,
    teacher_BLH: torch.Tensor,
    valid_BL: torch.Tensor,
    temperature: float = 1.0,
    released_factor: bool = False,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Contrast a token with its teacher's vector against both models' vectors of the other rows at that position.

    The released code trains this under the name of CRD: NT-Xent (Chen et al. 2020, equation 1) among the 2B vectors at
    one position of the batch, student-student negatives included. Over valid positions; padded ones are no negatives.

    Args:
        student_BLH: vectors of the student; normalised here, as the teacher's are.
        teacher_BLH: vectors of the teacher.
        valid_BL: bool, false on padding.
        temperature: divides the cosines.
        released_factor: divide a position's loss once more by its number of vectors, as the release does; with B = 32
            this makes the weight 1/64.
        reduction: over valid positions.
    """
    rows = len(student_BLH)
    with without_autocast(student_BLH.device):
        views_VLH = torch.cat([at_least_float32(student_BLH), at_least_float32(teacher_BLH.detach())])
        valid_LV = torch.cat([valid_BL, valid_BL]).T
        views_LVH = normalize(views_VLH.transpose(0, 1).masked_fill(~valid_LV[..., None], 0.0))
        itself = torch.eye(2 * rows, dtype=torch.bool, device=valid_BL.device)
        view_V = torch.arange(2 * rows, device=valid_BL.device)
        logits_LVV = (views_LVH @ views_LVH.mT / temperature).masked_fill(itself | ~valid_LV[:, None], -math.inf)
        loss_LV = logits_LVV[valid_LV].logsumexp(1) - logits_LVV[:, view_V, view_V.roll(rows)][valid_LV]
        if released_factor:
            loss_LV = loss_LV / valid_LV.sum(1, keepdim=True).expand_as(valid_LV)[valid_LV]
    return reduce(loss_LV.sum() / 2, valid_BL.sum(), reduction)
