"""Masked language modelling, and the other ways to distil that the paper compares with or its code holds.

Shapes: B rows, L tokens, H width, M masked positions, V vocabulary, P valid positions.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from training.models.vidlankd.losses.reduction import Reduction, exactly, fine, reduced, unit
from training.models.vidlankd.text_batch import IGNORED


def masked_lm(logits_MV: torch.Tensor, labels_M: torch.Tensor, reduction: Reduction = "mean") -> torch.Tensor:
    """Cross entropy of the tokens to predict (Devlin et al. 2019); over labels that are not `IGNORED`."""
    with exactly(logits_MV.device):
        total = F.cross_entropy(fine(logits_MV), labels_M, ignore_index=IGNORED, reduction="sum")
    return reduced(total, (labels_M != IGNORED).sum(), reduction)


def soft_labels(
    student_MV: torch.Tensor, teacher_MV: torch.Tensor, temperature: float = 1.0, reduction: Reduction = "mean"
) -> torch.Tensor:
    """Divergence of the student's predictions from the teacher's, KL(teacher || student) times temperature squared.

    Hinton et al. 2015. Both take logits; the mean is over positions. The released code multiplies by 1,000: that is a
    weight here.
    """
    with exactly(student_MV.device):
        student_MV = (fine(student_MV) / temperature).log_softmax(1)
        teacher_MV = (fine(teacher_MV.detach()) / temperature).log_softmax(1)
        total = F.kl_div(student_MV, teacher_MV, reduction="sum", log_target=True) * temperature**2
    return reduced(total, len(student_MV), reduction)


def l2_regression(
    student_BLH: torch.Tensor, teacher_BLH: torch.Tensor, valid_BL: torch.Tensor, reduction: Reduction = "mean"
) -> torch.Tensor:
    """Squared distance of the two vectors of a token, each of length 1: 0 to 4; over valid positions."""
    student_PH, teacher_PH = unit(student_BLH[valid_BL]), unit(teacher_BLH.detach()[valid_BL])
    return reduced((student_PH - teacher_PH).square().sum(), len(student_PH), reduction)


def fitnet(
    student_BLH: torch.Tensor, teacher_BLH: torch.Tensor, valid_BL: torch.Tensor, reduction: Reduction = "mean"
) -> torch.Tensor:
    """Mean square difference between the teacher's states, as they are, and a regressor of the student's.

    Romero et al. 2015, equation 3. The regressor, a linear layer, is the caller's. Over valid positions.
    """
    student_PH, teacher_PH = fine(student_BLH[valid_BL]), fine(teacher_BLH.detach()[valid_BL])
    return reduced((student_PH - teacher_PH).square().sum() / student_PH.shape[1], len(student_PH), reduction)


def contrastive_in_batch(
    student_BLH: torch.Tensor,
    teacher_BLH: torch.Tensor,
    valid_BL: torch.Tensor,
    temperature: float = 1.0,
    released_factor: bool = False,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """At each position, tell the teacher's vector of a row's token from both models' vectors of the other rows.

    What the released code trains under the name of CRD: NT-Xent (Chen et al. 2020, equation 1) among the 2B vectors at
    one position of the batch, student-student negatives included. Over valid positions; padded ones are no negatives.

    Args:
        student_BLH: the student's vectors; normalised here, as the teacher's.
        teacher_BLH: the teacher's.
        valid_BL: bool, false on padding.
        temperature: what cosines are divided by.
        released_factor: divide a position's loss once more by its number of vectors, as the release does; at B = 32
            this makes the weight 1/64.
        reduction: over valid positions.
    """
    rows = len(student_BLH)
    with exactly(student_BLH.device):
        views_VLH = torch.cat([fine(student_BLH), fine(teacher_BLH.detach())])
        valid_LV = torch.cat([valid_BL, valid_BL]).T
        views_LVH = unit(views_VLH.transpose(0, 1).masked_fill(~valid_LV[..., None], 0.0))
        itself = torch.eye(2 * rows, dtype=torch.bool, device=valid_BL.device)
        place_V = torch.arange(2 * rows, device=valid_BL.device)
        logits_LVV = (views_LVH @ views_LVH.mT / temperature).masked_fill(itself | ~valid_LV[:, None], -math.inf)
        loss_LV = logits_LVV[valid_LV].logsumexp(1) - logits_LVV[:, place_V, place_V.roll(rows)][valid_LV]
        if released_factor:
            loss_LV = loss_LV / valid_LV.sum(1, keepdim=True).expand_as(valid_LV)[valid_LV]
    return reduced(loss_LV.sum() / 2, valid_BL.sum(), reduction)
