"""The contrastive loss between clips and each of their texts, in both directions, over the global batch.

For every term t (subtitle, caption, …) and its P present rows of the global batch (VidLA, section 3)::

    L_t = 1/P * sum_i [ -log softmax_j(scale * v_i . t_j)[i] - log softmax_j(scale * t_i . v_j)[i] ]

and the terms are added without weights. A row without that text is in no sum. Pairs that are no negatives
(`training.models.vidla.losses.negatives`) are left out of the denominators.

Each rank holds one slab of the logits: its own clips against the texts of all ranks. The first pass over a slab, chunk
by chunk of rows, gives the normalisers of both directions; those of the texts are completed over the ranks. The second
pass, in the backward, computes the chunks again and their gradients: four matrix products in all. At no time are more
than `chunk` rows of logits in memory. The arithmetic is float32 (or the embeddings' type if that is finer), even under
autocast.

A rank's *share* of L_t is that of its own clips and texts. **The shares of all ranks add up to the loss**, and so do
the gradients: after `backward` of the sum of shares, `.grad` of this rank's embeddings is that of the global loss.
`.grad` of anything that all ranks have in common (the logit scale, weights of a tower) is this rank's part, to be
*summed* over ranks. DistributedDataParallel averages, so `training.engine.global_step` differentiates
`world_size * sum(shares)`, and reports the sum of the shares.

Shapes: B rows of this rank, G rows of the global batch, c rows of a chunk, D features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from training.engine.parallel.distributed import Ranks, gather_plain, gather_rows
from training.models.vidla.losses.negatives import TermRows, own_rows, rows_by_term
from training.models.vidla.model_settings import LossSettings


def contrastive_loss(
    video_BD: torch.Tensor,
    texts: Mapping[str, torch.Tensor],
    present: Mapping[str, torch.Tensor],
    logit_scale: torch.Tensor,
    video_id_B: torch.Tensor,
    span_B2: torch.Tensor,
    settings: LossSettings,
    ranks: Ranks,
    text_id: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """Return this rank's share of each term; the shares of all ranks add up to the loss over the global batch.

    Collective: every rank calls it, with equal B and the same terms, and differentiates the sum of all terms, or the
    same multiple of it, in one `backward`. The embeddings may be leaves.

    Args:
        video_BD: video embeddings of this rank, L2-normalised.
        texts: text embeddings [B, D] by term, L2-normalised; absent rows may hold anything.
        present: bool [B] by term: True for rows with that text (and a video).
        logit_scale: scalar, the inverse of the temperature: already exponentiated.
        video_id_B: int64; rows with equal numbers are of one video, across ranks too.
        span_B2: start and end of each clip in its video, seconds.
        settings: which pairs are negatives, and the rows of a chunk.
        ranks: the processes that hold the other rows.
        text_id: int64 [B] by term; rows with equal numbers have the same text. None: no texts are equal.

    Returns:
        A scalar by term; 0 with zero gradients if no row of the global batch has that text.
    """
    assert texts.keys() == present.keys(), "each term needs its embeddings and its presence"
    rows = rows_by_term(present, video_id_B, span_B2, settings, ranks, text_id)
    shares = {}
    for term in sorted(texts):
        there_B1 = present[term][:, None]
        own_BD = fine(video_BD).where(there_B1, 0)  # an absent row's own logit is 0, and its only one: loss 0
        text_GD = gather_rows(fine(texts[term]).where(there_B1, 0), ranks)
        share = _SymmetricCrossEntropy.apply(own_BD, text_GD, logit_scale, rows[term], ranks)
        shares[term] = share / rows[term].present_G.sum().clamp(min=1)
    return shares


def clamp_logit_scale_(log_scale: torch.nn.Parameter, highest: float) -> None:
    """Clamp the learnt logarithm of the logit scale to 0 … ``log(highest)``, in place; call it after a step."""
    with torch.no_grad():
        log_scale.clamp_(0.0, math.log(highest))


def fine(x: torch.Tensor) -> torch.Tensor:
    """Convert to float32, unless the type is finer."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@dataclass(frozen=True)
class _Slab:
    """This rank's clips against the texts of all ranks."""

    video_BD: torch.Tensor
    text_GD: torch.Tensor
    scale: torch.Tensor
    rows: TermRows
    own_B: torch.Tensor
    """Positions of this rank's rows in the global batch."""

    def chunks(self) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        """Yield the logits chunk by chunk: its rows of this rank, scaled clips [c, D], logits [c, G]."""
        for begin in range(0, len(self.own_B), self.rows.settings.chunk):
            part = slice(begin, min(begin + self.rows.settings.chunk, len(self.own_B)))
            query_cD = self.video_BD[part] * self.scale.to(self.video_BD.dtype)
            logits_cG = query_cD @ self.text_GD.T
            yield part, query_cD, logits_cG.masked_fill_(self.rows.left_out(self.own_B[part]), -math.inf)


class _SymmetricCrossEntropy(torch.autograd.Function):
    """The cross-entropy of this rank's clips against all texts, and of its texts against all clips, summed.

    Its gradients are those of the sum over all ranks.
    """

    @staticmethod
    def forward(
        ctx: Any, video_BD: torch.Tensor, text_GD: torch.Tensor, scale: torch.Tensor, rows: TermRows, ranks: Ranks
    ) -> torch.Tensor:
        """Return the sum; `rows` describes all rows, of which this rank's are in `video_BD`."""
        slab = _Slab(video_BD, text_GD, scale, rows, own_rows(len(video_BD), ranks, video_BD.device))
        with torch.autocast(video_BD.device.type, enabled=False):
            by_clip, by_text, own = [], [], []
            for part, _, logits_cG in slab.chunks():
                by_clip.append(logits_cG.logsumexp(1))
                by_text.append(logits_cG.logsumexp(0))
                own.append(logits_cG.gather(1, slab.own_B[part, None]).squeeze(1))
            clips_B = torch.cat(by_clip)
            over_ranks = gather_plain(torch.stack(by_text).logsumexp(0), ranks)
            texts_G = over_ranks.view(ranks.world_size, -1).logsumexp(0)
            ctx.save_for_backward(video_BD, text_GD, scale, clips_B, texts_G)
            ctx.rows, ctx.own_B = rows, slab.own_B
            return (clips_B + texts_G[slab.own_B] - 2 * torch.cat(own)).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of clips, texts and scale: softmax by row plus softmax by column, less twice the own."""
        video_BD, text_GD, scale, clips_B, texts_G = ctx.saved_tensors
        slab = _Slab(video_BD, text_GD, scale, ctx.rows, ctx.own_B)
        d_video_BD, d_text_GD = torch.empty_like(video_BD), torch.zeros_like(text_GD)
        with torch.autocast(video_BD.device.type, enabled=False):
            for part, query_cD, logits_cG in slab.chunks():
                d_logits_cG = (logits_cG - clips_B[part, None]).exp_()
                d_logits_cG += logits_cG.sub_(texts_G).exp_()
                own_c1 = slab.own_B[part, None]
                d_logits_cG.scatter_add_(1, own_c1, torch.full_like(own_c1, -2, dtype=d_logits_cG.dtype))
                d_video_BD[part] = d_logits_cG @ text_GD
                d_text_GD.addmm_(d_logits_cG.T, query_cD)
        d_scale = (d_video_BD * video_BD).sum() * gradient
        return d_video_BD.mul_(scale * gradient), d_text_GD.mul_(gradient), d_scale.to(scale.dtype), None, None
