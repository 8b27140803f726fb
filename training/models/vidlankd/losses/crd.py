"""Contrastive representation distillation: tell the teacher's vector of the same token from a queue of others.

With student and teacher vectors s and t of length 1, M vectors in the queue of which N are negatives (Tian et al. 2020,
equation 19; VidLanKD, section 3.3; the normaliser as in their code)::

    h(s, t) = e / (e + N/M),    e = exp(s.t / temperature) / Z
    loss of a token = -log h(s, its t) - sum over negatives of log(1 - h(s, t))

Z, M times the mean of exp(s.t / temperature) over the first batch, is what makes it learn: without it, where few of
many vectors are negatives, e is far above N/M for every pair, and the positive's gradient vanishes.

With x = s.t / temperature - log(Z N/M) both logarithms are softplus, of -x and of x, and their derivatives sigmoids.
The gradient is therefore taken along in the forward pass, chunk by chunk: nothing of size [positions, M] is kept.

Shapes: B rows, L tokens, H width, P valid positions, M vectors of the queue, c positions of a chunk.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from training.models.vidlankd.losses.reduction import Reduction, exactly, fine, reduced, unit

_LARGEST_EXPONENT = 80.0
"""e to this power is still a float32."""
_CACHED = 2**18
"""Numbers that a processor passes over several times without going to memory; a GPU would only launch more kernels."""


def crd(
    student_BLH: torch.Tensor,
    teacher_BLH: torch.Tensor,
    valid_BL: torch.Tensor,
    queue_MH: torch.Tensor,
    normaliser: torch.Tensor,
    temperature: float = 0.07,
    negatives: torch.Tensor | None = None,
    chunk: int = 512,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Each valid token's vector against the teacher's of that token and against the queue; scalar.

    Args:
        student_BLH: the student's vectors, after its head, as wide as the teacher; gets the gradient. Vectors are
            normalised here.
        teacher_BLH: the teacher's: the positives.
        valid_BL: bool, false on padding.
        queue_MH: the teacher's vectors of other tokens, of length 1; at least one.
        normaliser: Z, a positive scalar (`crd_normaliser`).
        temperature: what cosines are divided by.
        negatives: int64 [N], rows of the queue that serve as negatives; all of them without it.
        chunk: positions compared at once; chunk * N floats in memory.
        reduction: over valid positions.
    """
    dtype = _product_type(student_BLH)
    with exactly(student_BLH.device):
        student_PH, teacher_PH = unit(student_BLH[valid_BL]), unit(teacher_BLH.detach()[valid_BL])
        others_NH = queue_MH if negatives is None else queue_MH[negatives]
        shift = fine(normaliser.detach()).log() + math.log(len(others_NH) / len(queue_MH))
        own_P = (student_PH * teacher_PH).sum(1) / temperature - shift
        apart = _Negatives.apply(student_PH, others_NH, shift, temperature, chunk, dtype)
        total = F.softplus(-own_P).sum() + cast(torch.Tensor, apart)
    return reduced(total, len(student_PH), reduction)


@torch.no_grad()
def crd_normaliser(
    student_BLH: torch.Tensor,
    teacher_BLH: torch.Tensor,
    valid_BL: torch.Tensor,
    queue_MH: torch.Tensor,
    temperature: float = 0.07,
    chunk: int = 512,
) -> torch.Tensor:
    """Z of one batch, to be kept for the whole training: M times the mean of exp(s.t / temperature).

    The mean goes over each token's own pair and its M pairs with the queue, as in the code of Tian et al. Ranks that
    train together average theirs. Scalar, float32; arguments as `crd`'s.
    """
    with exactly(student_BLH.device):
        student_PH, teacher_PH, queue_MH = unit(student_BLH[valid_BL]), unit(teacher_BLH[valid_BL]), fine(queue_MH)
        total = ((student_PH * teacher_PH).sum(1) / temperature).double().exp().sum()
        for student_cH in student_PH.split(chunk):
            total += (student_cH @ queue_MH.T.to(student_cH)).div_(temperature).exp_().sum(dtype=torch.float64)
    return (total / (len(student_PH) * (len(queue_MH) + 1)) * len(queue_MH)).float()


class TokenQueue(nn.Module):
    """The last so many teacher's vectors, the negatives of `crd`; part of the state of a training.

    It starts empty. Until it is `full` no loss is taken of it: its rows would change their number, and with it Z. It is
    filled with all valid token vectors of the first batches (`push`, which overwrites the oldest), and from then on
    takes few of each batch: after the optimizer's step, so that no token meets itself as a negative.
    """

    vectors_MH: torch.Tensor
    """Of length 1; zeros where nothing was put yet."""
    cursor: torch.Tensor
    """int64 scalar: where the next vector goes."""
    filled: torch.Tensor
    """int64 scalar: how many were put, at most M."""
    normaliser: torch.Tensor
    """float32 scalar: Z; 0 until it is known."""

    def __init__(self, length: int, width: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("vectors_MH", torch.zeros(length, width, dtype=dtype))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.register_buffer("normaliser", torch.zeros(()))

    def __len__(self) -> int:
        return len(self.vectors_MH)

    @property
    def full(self) -> bool:
        """Whether every row holds a vector; it stays so."""
        return int(self.filled) == len(self)

    @torch.no_grad()
    def push(self, vectors_BH: torch.Tensor) -> None:
        """Put vectors in place of the oldest, normalised; of more than the queue's length the last."""
        vectors_BH = unit(vectors_BH[-len(self) :]).to(self.vectors_MH)
        places_B = (self.cursor + torch.arange(len(vectors_BH), device=self.cursor.device)) % len(self)
        self.vectors_MH[places_B] = vectors_BH
        self.cursor.copy_((self.cursor + len(vectors_BH)) % len(self))
        self.filled.copy_((self.filled + len(vectors_BH)).clamp(max=len(self)))


class _Negatives(torch.autograd.Function):
    """Sum over positions and negatives of softplus(s.t / temperature - shift)."""

    @staticmethod
    def forward(
        ctx: Any,
        student_PH: torch.Tensor,
        others_NH: torch.Tensor,
        shift: torch.Tensor,
        temperature: float,
        chunk: int,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        others_NH = others_NH.to(dtype)
        folds = _folds(1 / temperature - float(shift), len(others_NH))
        rows = chunk if student_PH.is_cuda else max(1, _CACHED // len(others_NH))
        total = student_PH.new_zeros((), dtype=torch.float64)
        grad_PH = torch.empty_like(student_PH)
        whole_cN = student_PH.new_empty((min(chunk, len(student_PH)), len(others_NH)))  # one block, written over
        for first in range(0, len(student_PH), chunk):
            student_cH = student_PH[first : first + chunk]
            x_cN = whole_cN[: len(student_cH)]
            _multiply(student_cH / temperature, others_NH.T, x_cN)
            for part in x_cN.split(rows):
                total += softplus_to_sigmoid_(part.sub_(shift), folds)
            if ctx.needs_input_grad[0]:
                _multiply(x_cN, others_NH, grad_PH[first : first + chunk])
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(grad_PH.div_(temperature))
        return total.to(student_PH.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad_PH,) = ctx.saved_tensors
        return grad_PH * grad, None, None, None, None, None


def softplus_to_sigmoid_(x_cN: torch.Tensor, folds: int) -> torch.Tensor:
    """Sum of softplus(x), in float64; `x_cN` becomes sigmoid(x).

    Both come from one exponential u = exp(x), and most logarithms are saved: log(1+a) + log(1+b) = log(1 + a+b+ab), so
    pairs are folded `folds` times before a logarithm is taken. No digits are lost in that, and nothing overflows
    while 2^folds * x stays small enough (`_folds`). With `folds` negative x is too large for exp, and PyTorch's own
    functions serve.
    """
    if folds < 0:
        total = F.softplus(x_cN).sum(dtype=torch.float64)
        x_cN.sigmoid_()
        return total
    folded = u_cN = x_cN.exp_()
    for _ in range(folds):
        half = folded.shape[1] // 2
        a, b = folded[:, :half], folded[:, half:]
        folded = torch.addcmul(a, a, b).add_(b)
    total = torch.log1p(folded).sum(dtype=torch.float64)
    u_cN.div_(u_cN + 1)
    return total


def _folds(largest: float, columns: int) -> int:
    """How often the columns may be halved while the product of what is folded stays finite; -1: not even once."""
    if largest > _LARGEST_EXPONENT:
        return -1
    folds = 0
    while (
        folds < 4 and columns % 2 ** (folds + 1) == 0 and 2 ** (folds + 1) * (max(largest, 0.0) + 1) < _LARGEST_EXPONENT
    ):
        folds += 1
    return folds


def _product_type(x: torch.Tensor) -> torch.dtype:
    """The type matrices are multiplied in: autocast's where it is on, else float32 or finer."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else fine(x[:0]).dtype


def _multiply(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> None:
    """`left @ right` in `right`'s type, into `out`."""
    if out.dtype == right.dtype:
        torch.mm(left, right, out=out)
    else:
        out.copy_(left.to(right.dtype) @ right)
