"""Neuron selectivity transfer: match the patterns in which the student's and the teacher's neurons respond to tokens.

A neuron's pattern is its responses to the tokens of a row. With patterns s_i of the student's d_s neurons and t_j of
the teacher's d_t, each of length 1, a row's loss is the squared maximum mean discrepancy between them (Huang and Wang
2017, equation 5; VidLanKD, section 3.3)::

    mean_ij K(s_i, s_j) + mean_ij K(t_i, t_j) - 2 mean_ij K(s_i, t_j)

The Gaussian kernel is exp(-|x - y|^2 / 2 sigma^2), which for vectors of length 1 is exp((x.y - 1) / sigma^2). The
polynomial kernel (x.y)^2 needs no pairs of neurons: its sum over all pairs is the element-wise product of two Gram
matrices of *tokens*, summed.

Shapes: B rows, L tokens, H neurons of the student, G of the teacher, c neurons of a chunk.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.autograd.function import once_differentiable

from training.models.vidlankd.losses.loss_arithmetic import Reduction, normalize, reduce, without_autocast
from training.models.vidlankd.nst_kernel import Kernel


def nst(
    student_BLH: torch.Tensor,
    teacher_BLG: torch.Tensor,
    valid_BL: torch.Tensor,
    kernel: Kernel = "gaussian",
    sigma: float = 1.0,
    teacher_term: bool = True,
    chunk: int = 128,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Compute the squared maximum mean discrepancy between neurons' patterns; scalar.

    Hidden states are normalised over neurons, then each neuron over the row's valid positions, specials and masked
    tokens included; padding takes part in neither.

    Args:
        student_BLH: the student's states, after its head; receives the gradient.
        teacher_BLG: the teacher's states; the width may differ.
        valid_BL: bool, false on padding; every row has a true position.
        kernel: `gaussian` is the paper's; `polynomial` is fastest; `released` is the published code's: polynomial
            without the teacher's term, *summed* over the batch and divided by the length of a row. Its weight is
            therefore B/L times that of a mean over rows (B = 32, L = 128: 1/4): to reuse weights of the release, use
            this kernel. Both reductions give that value: a caller must not divide it by a count of rows.
        sigma: width of the Gaussian kernel.
        teacher_term: add the term between the teacher's neurons. It is constant: without it gradients are the same and
            a little time is saved, but the minimum is no longer 0.
        chunk: the student's neurons compared at once with the Gaussian kernel; B * chunk * width floats in memory.
        reduction: over rows.
    """
    with without_autocast(student_BLH.device):
        student_BLH, teacher_BLG = _patterns(student_BLH, valid_BL), _patterns(teacher_BLG.detach(), valid_BL)
        if kernel == "gaussian":
            row_B = _gaussian(student_BLH, teacher_BLG, sigma, teacher_term, chunk)
        else:
            row_B = _polynomial(student_BLH, teacher_BLG, teacher_term and kernel == "polynomial")
    if kernel == "released":
        return (row_B / valid_BL.sum(1)).sum()
    return reduce(row_B.sum(), len(row_B), reduction)


def _patterns(hidden_BLH: torch.Tensor, valid_BL: torch.Tensor) -> torch.Tensor:
    """Normalise each neuron's responses to the valid tokens of a row to length 1; zeros on padding."""
    return normalize(normalize(hidden_BLH.masked_fill(~valid_BL[..., None], 0.0)), dim=1)


def _polynomial(student_BLH: torch.Tensor, teacher_BLG: torch.Tensor, teacher_term: bool) -> torch.Tensor:
    """Compute the loss of each row from the Gram matrices of tokens, each divided by its number of neurons."""
    student_BLL = student_BLH @ student_BLH.mT / student_BLH.shape[2]
    teacher_BLL = teacher_BLG @ teacher_BLG.mT / teacher_BLG.shape[2]
    if teacher_term:
        return (student_BLL - teacher_BLL).square().sum((1, 2))
    return (student_BLL * (student_BLL - 2 * teacher_BLL)).sum((1, 2))


def _gaussian(
    student_BLH: torch.Tensor, teacher_BLG: torch.Tensor, sigma: float, teacher_term: bool, chunk: int
) -> torch.Tensor:
    """Compute the loss of each row with the Gaussian kernel."""
    row_B = cast(torch.Tensor, _Gaussian.apply(student_BLH, teacher_BLG, sigma, chunk))
    if teacher_term:
        own_B, _ = _kernel_sums(teacher_BLG, teacher_BLG, sigma, chunk, differentiate=False)
        row_B = row_B + own_B / teacher_BLG.shape[2] ** 2
    return row_B


class _Gaussian(torch.autograd.Function):
    """Student against student minus twice student against teacher, for each row.

    The gradient needs the same kernel values as the loss, so the forward pass computes both: nothing of the size of all
    pairs is stored, as a graph would, or computed again, as a checkpoint would.
    """

    @staticmethod
    def forward(
        ctx: Any, student_BLH: torch.Tensor, teacher_BLG: torch.Tensor, sigma: float, chunk: int
    ) -> torch.Tensor:
        """Compute the loss of each row, and its gradient for the student's patterns."""
        own, cross = 1 / student_BLH.shape[2] ** 2, -2 / (student_BLH.shape[2] * teacher_BLG.shape[2])
        differentiate = ctx.needs_input_grad[0]
        own_B, own_grad_BLH = _kernel_sums(student_BLH, student_BLH, sigma, chunk, differentiate)
        cross_B, cross_grad_BLH = _kernel_sums(student_BLH, teacher_BLG, sigma, chunk, differentiate)
        if differentiate:  # each neuron is on both sides of the first sum
            ctx.save_for_backward(own_grad_BLH.mul_(2 * own).add_(cross_grad_BLH, alpha=cross))
        return own * own_B + cross * cross_B

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_B: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Scale the gradient that `forward` computed."""
        (grad_BLH,) = ctx.saved_tensors
        return grad_BLH * grad_B[:, None, None], None, None, None


def _kernel_sums(
    one_BLH: torch.Tensor, other_BLG: torch.Tensor, sigma: float, chunk: int, differentiate: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the Gaussian kernel summed over all pairs of neurons for each row, and its gradient for `one_BLH`."""
    sum_B = one_BLH.new_zeros(len(one_BLH))
    grad_BLH = torch.empty_like(one_BLH) if differentiate else one_BLH.new_empty(0)
    for first in range(0, one_BLH.shape[2], chunk):
        part_BLc = one_BLH[:, :, first : first + chunk]
        kernel_BcG = (part_BLc.mT @ other_BLG).sub_(1).div_(sigma**2).exp_()
        sum_B += kernel_BcG.sum((1, 2))
        if differentiate:
            grad_BLH[:, :, first : first + chunk] = (other_BLG @ kernel_BcG.mT).div_(sigma**2)
    return sum_B, grad_BLH
