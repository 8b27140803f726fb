"""The sigmoid loss between clips and each of their texts, over the global batch (Zhai et al. 2023, *SigLIP*).

For every term t and its P present rows, with z = 1 for a row's own pair and -1 for its negatives::

    L_t = -1/P * sum_i sum_j log sigmoid(z_ij * (scale * v_i . t_j + bias))

Pairs that are neither own nor negatives (`training.models.vidla.losses.negatives`) are left out, as in
`contrastive_loss`, and so are rows without a text. No pair depends on another, so the gradients are computed with the
loss, chunk by chunk, in three matrix products.

Each rank's share is its own clips against the texts of all ranks. **The shares of all ranks add up to the loss**, and
so do the gradients, in the sense of `contrastive_loss`; those of scale and bias are this rank's part.

Shapes: B rows of this rank, G rows of the global batch, c rows of a chunk, D features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from training.engine.parallel.distributed import Ranks, gather_rows
from training.models.vidla.losses.contrastive_loss import fine
from training.models.vidla.losses.negatives import TermRows, own_rows, rows_by_term
from training.models.vidla.model_settings import LossSettings


def siglip_loss(
    video_BD: torch.Tensor,
    texts: Mapping[str, torch.Tensor],
    present: Mapping[str, torch.Tensor],
    logit_scale: torch.Tensor,
    video_id_B: torch.Tensor,
    span_B2: torch.Tensor,
    settings: LossSettings,
    ranks: Ranks,
    text_id: Mapping[str, torch.Tensor] | None = None,
    *,
    logit_bias: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Return this rank's share of each term; the shares of all ranks add up to the loss over the global batch.

    Collective, as `contrastive_loss`.

    Args:
        video_BD: as of `contrastive_loss`.
        texts: as of `contrastive_loss`.
        present: as of `contrastive_loss`.
        logit_scale: as of `contrastive_loss`.
        video_id_B: as of `contrastive_loss`.
        span_B2: as of `contrastive_loss`.
        settings: as of `contrastive_loss`.
        ranks: as of `contrastive_loss`.
        text_id: as of `contrastive_loss`.
        logit_bias: scalar, added to every logit.

    Returns:
        A scalar by term; 0 with zero gradients if no row of the global batch has that text.
    """
    assert texts.keys() == present.keys(), "each term needs its embeddings and its presence"
    rows = rows_by_term(present, video_id_B, span_B2, settings, ranks, text_id)
    shares = {}
    for term in sorted(texts):
        there_B1 = present[term][:, None]
        own_BD = fine(video_BD).where(there_B1, 0)
        text_GD = gather_rows(fine(texts[term]).where(there_B1, 0), ranks)
        share = _PairwiseSigmoid.apply(own_BD, text_GD, logit_scale, logit_bias, rows[term], ranks)
        shares[term] = share / rows[term].present_G.sum().clamp(min=1)
    return shares


class _PairwiseSigmoid(torch.autograd.Function):
    """The summed loss of this rank's clips with the texts of all ranks; its gradients are computed beside it."""

    @staticmethod
    def forward(
        ctx: Any,
        video_BD: torch.Tensor,
        text_GD: torch.Tensor,
        scale: torch.Tensor,
        bias: torch.Tensor,
        rows: TermRows,
        ranks: Ranks,
    ) -> torch.Tensor:
        """Return the sum; `rows` describes all rows, of which this rank's are in `video_BD`."""
        own_B, kind = own_rows(len(video_BD), ranks, video_BD.device), video_BD.dtype
        d_video_BD, d_text_GD = torch.empty_like(video_BD), torch.zeros_like(text_GD)
        total, d_bias = video_BD.new_zeros(()), video_BD.new_zeros(())
        with torch.autocast(video_BD.device.type, enabled=False):
            for begin in range(0, len(own_B), rows.settings.chunk):
                part = slice(begin, min(begin + rows.settings.chunk, len(own_B)))
                query_cD, own_c1 = video_BD[part] * scale.to(kind), own_B[part, None]
                there_c1 = rows.present_G[own_B[part], None]
                logits_cG = torch.addmm(bias.to(kind), query_cD, text_GD.T)
                own_logit_c1 = logits_cG.gather(1, own_c1)
                out_cG = rows.left_out(own_B[part]).scatter_(1, own_c1, ~there_c1)
                logits_cG.masked_fill_(out_cG, -math.inf)
                total += F.softplus(logits_cG).sum() - own_logit_c1.where(there_c1, 0).sum()
                d_logits_cG = logits_cG.sigmoid_().scatter_add_(1, own_c1, -there_c1.to(kind))
                torch.mm(d_logits_cG, text_GD, out=d_video_BD[part])
                d_text_GD.addmm_(d_logits_cG.T, query_cD)
                d_bias += d_logits_cG.sum()
        ctx.save_for_backward(video_BD, scale, bias, d_video_BD, d_text_GD, d_bias)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of clips, texts, scale and bias."""
        video_BD, scale, bias, d_video_BD, d_text_GD, d_bias = ctx.saved_tensors
        d_scale, d_bias = (d_video_BD * video_BD).sum() * gradient, d_bias * gradient
        d_video_BD = d_video_BD * (scale.to(video_BD.dtype) * gradient)
        return d_video_BD, d_text_GD * gradient, d_scale.to(scale.dtype), d_bias.to(bias.dtype), None, None
