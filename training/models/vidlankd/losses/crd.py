"""Contrastive representation distillation: contrast the teacher's vector of a token with a queue of other tokens'.

With student and teacher vectors s and t of length 1, M vectors in the queue of which N are negatives (Tian et al. 2020,
equation 19; VidLanKD, section 3.3; the normaliser as in their code)::

    h(s, t) = e / (e + N/M),    e = exp(s.t / temperature) / Z
    loss of a token = -log h(s, its t) - sum over negatives of log(1 - h(s, t))

Z is M times the mean of exp(s.t / temperature) over the first batch. The loss does not learn without it: if few of many
vectors are negatives, e is far above N/M for every pair, and the gradient of the positive vanishes.

With x = s.t / temperature - log(Z N/M) the two terms are softplus(-x) and softplus(x); their derivatives are sigmoids.
The forward pass therefore computes the gradient as well, chunk by chunk: nothing of size [positions, M] is stored.

Shapes: B rows, L tokens, H width, P valid positions, M vectors of the queue, c positions of a chunk.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from training.models.vidlankd.losses.loss_arithmetic import (
    Reduction,
    at_least_float32,
    normalize,
    reduce,
    without_autocast,
)

_LARGEST_EXPONENT = 80.0
"""Largest exponent of e that is finite in float32, with a margin."""
_CACHED = 2**18
"""Numbers that fit a CPU's cache while several passes go over them; on a GPU smaller pieces only add kernel
launches."""


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
    """Contrast each valid token's vector with the teacher's vector of that token against the queue; scalar.

    Args:
        student_BLH: the student's vectors, after its head, as wide as the teacher's; receives the gradient. Vectors are
            normalised here.
        teacher_BLH: the teacher's vectors, the positives.
        valid_BL: bool, false on padding.
        queue_MH: the teacher's vectors of other tokens, of length 1; at least one.
        normaliser: Z, a positive scalar (`crd_normaliser`).
        temperature: divides the cosines.
        negatives: int64 [N], rows of the queue that serve as negatives; None: all rows.
        chunk: positions compared at once; chunk * N floats in memory.
        reduction: over valid positions.
    """
    dtype = _product_type(student_BLH)
    with without_autocast(student_BLH.device):
        student_PH, teacher_PH = normalize(student_BLH[valid_BL]), normalize(teacher_BLH.detach()[valid_BL])
        others_NH = queue_MH if negatives is None else queue_MH[negatives]
        shift = at_least_float32(normaliser.detach()).log() + math.log(len(others_NH) / len(queue_MH))
        own_P = (student_PH * teacher_PH).sum(1) / temperature - shift
        against_queue = _Negatives.apply(student_PH, others_NH, shift, temperature, chunk, dtype)
        total = F.softplus(-own_P).sum() + cast(torch.Tensor, against_queue)
    return reduce(total, len(student_PH), reduction)


@torch.no_grad()
def crd_normaliser(
    student_BLH: torch.Tensor,
    teacher_BLH: torch.Tensor,
    valid_BL: torch.Tensor,
    queue_MH: torch.Tensor,
    temperature: float = 0.07,
    chunk: int = 512,
) -> torch.Tensor:
    """Compute Z of one batch, which is kept for the whole training: M times the mean of exp(s.t / temperature).

    The mean is over each token's own pair and its M pairs with the queue, as in the code of Tian et al. Ranks that
    train together average their values. Scalar, float32; for the arguments see `crd`.
    """
    with without_autocast(student_BLH.device):
        student_PH, teacher_PH, queue_MH = (
            normalize(student_BLH[valid_BL]),
            normalize(teacher_BLH[valid_BL]),
            at_least_float32(queue_MH),
        )
        total = ((student_PH * teacher_PH).sum(1) / temperature).double().exp().sum()
        for student_cH in student_PH.split(chunk):
            total += (student_cH @ queue_MH.T.to(student_cH)).div_(temperature).exp_().sum(dtype=torch.float64)
    return (total / (len(student_PH) * (len(queue_MH) + 1)) * len(queue_MH)).float()


class TokenQueue(nn.Module):
    """Queue of the teacher's most recent vectors, the negatives of `crd`; part of the training state.

    It starts empty. No loss uses it until it is `full`, because the number of rows and with it Z would change. All
    valid token vectors of the first batches fill it (`push` overwrites the oldest); after that, each batch adds a few
    once the optimizer has stepped, so that no token is its own negative.
    """

    vectors_MH: torch.Tensor
    """Vectors of length 1; zeros in rows that are not filled yet."""
    cursor: torch.Tensor
    """int64 scalar: row of the next vector."""
    filled: torch.Tensor
    """int64 scalar: number of rows filled, at most M."""
    normaliser: torch.Tensor
    """float32 scalar: Z; 0 until it is computed."""

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
        """Return True once every row holds a vector."""
        return int(self.filled) == len(self)

    @torch.no_grad()
    def push(self, vectors_BH: torch.Tensor) -> None:
        """Overwrite the oldest rows with normalised vectors; of more vectors than rows, keep the last."""
        vectors_BH = normalize(vectors_BH[-len(self) :]).to(self.vectors_MH)
        rows_B = (self.cursor + torch.arange(len(vectors_BH), device=self.cursor.device)) % len(self)
        self.vectors_MH[rows_B] = vectors_BH
        self.cursor.copy_((self.cursor + len(vectors_BH)) % len(self))
        self.filled.copy_((self.filled + len(vectors_BH)).clamp(max=len(self)))


class _Negatives(torch.autograd.Function):
    """The sum of softplus(s.t / temperature - shift) over positions and negatives."""

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
        """Compute the sum, and its gradient for the student's vectors."""
        others_NH = others_NH.to(dtype)
        folds = _folds(1 / temperature - float(shift), len(others_NH))
        rows = chunk if student_PH.is_cuda else max(1, _CACHED // len(others_NH))
        total = student_PH.new_zeros((), dtype=torch.float64)
        grad_PH = torch.empty_like(student_PH)
        whole_cN = student_PH.new_empty(
            (min(chunk, len(student_PH)), len(others_NH))
        )  # one buffer, reused by every chunk
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
        """Scale the gradient that `forward` computed."""
        (grad_PH,) = ctx.saved_tensors
        return grad_PH * grad, None, None, None, None, None


def softplus_to_sigmoid_(x_cN: torch.Tensor, folds: int) -> torch.Tensor:
    """Return the sum of softplus(x) in float64, and overwrite `x_cN` with sigmoid(x).

    Both are computed from one exponential u = exp(x). Most logarithms are avoided: log(1+a) + log(1+b) = log(1 +
    a+b+ab), so pairs are folded `folds` times before the logarithm. This loses no digits, and nothing overflows while
    2^folds * x is small enough (`_folds`). If `folds` is negative, x is too large for exp and PyTorch's own functions
    are used.
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
    """Return how often columns can be halved while folded products stay finite; -1 if exp itself may overflow."""
    if largest > _LARGEST_EXPONENT:
        return -1
    folds = 0
    while (
        folds < 4 and columns % 2 ** (folds + 1) == 0 and 2 ** (folds + 1) * (max(largest, 0.0) + 1) < _LARGEST_EXPONENT
    ):
        folds += 1
    return folds


def _product_type(x: torch.Tensor) -> torch.dtype:
    """Return the type for matrix products: autocast's if it is on, otherwise float32 or finer."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else at_least_float32(x[:0]).dtype


def _multiply(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> None:
    """Write `left @ right`, computed in `right`'s type, into `out`."""
    if out.dtype == right.dtype:
        torch.mm(left, right, out=out)
    else:
        out.copy_(left.to(right.dtype) @ right)
