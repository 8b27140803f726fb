"""The contrastive loss between clips and each of their texts, in both directions, over the global batch.

For every term t (subtitle, caption, …) and its P present rows of the global batch (VidLA, section 3)::

    L_t = 1/P * sum_i [ -log softmax_j(scale * v_i . t_j)[i] - log softmax_j(scale * t_i . v_j)[i] ]

and the terms are added without weights. A row without that text is in no sum. Pairs of one video, and pairs with equal
texts, are not negatives: they are left out of the denominators, except for a row's own pair.

Each rank computes its *share*: its own rows of L_t, against the columns of all ranks. **The shares of all ranks add up
to the loss**, and so do the gradients: after `backward` of the sum of shares, `.grad` of this rank's embeddings is that
of the global loss. `.grad` of anything that all ranks have in common (the logit scale, weights of a tower) is this
rank's part, to be *summed* over ranks. DistributedDataParallel averages, so `training.engine.global_step`
differentiates `world_size * sum(shares)`, and reports the sum of the shares.

The logits exist for one chunk of rows at a time and are computed again in the backward pass, in float32 (or in the
embeddings' type if that is finer), even under autocast.

Shapes: B rows of this rank, P present rows of the global batch, Q those of this rank, c rows of a chunk, D features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from training.engine.distributed import Ranks, gather_plain, gather_rows, sum_over
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

    Collective: every rank calls it, with equal B and the same terms, and differentiates the sum of all terms in one
    `backward`. The embeddings may be leaves.

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
    terms = sorted(texts)
    batch = _GlobalBatch(
        rows=gather_rows(_fine(video_BD), ranks),
        present=gather_plain(torch.stack([present[term] for term in terms], dim=1), ranks),
        video_id=gather_plain(video_id_B, ranks),
        span=gather_plain(span_B2, ranks),
        mine=slice(ranks.rank * len(video_BD), (ranks.rank + 1) * len(video_BD)),
    )
    shares = {}
    for number, term in enumerate(terms):
        text_GD = gather_rows(_fine(texts[term]), ranks)
        text_id_G = _equal_texts(text_id, term, settings, ranks)
        pairs = batch.pairs(text_GD, number, text_id_G)
        shares[term] = _share(pairs, logit_scale, settings)
    return shares


def count_negatives(
    present: Mapping[str, torch.Tensor],
    video_id_B: torch.Tensor,
    span_B2: torch.Tensor,
    settings: LossSettings,
    ranks: Ranks,
    text_id: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Return the mean number of negatives that a row of `contrastive_loss` is compared with; collective.

    Args:
        present: as of `contrastive_loss`.
        video_id_B: as of `contrastive_loss`.
        span_B2: as of `contrastive_loss`.
        settings: which pairs are negatives.
        ranks: the processes that hold the other rows.
        text_id: as of `contrastive_loss`.

    Returns:
        A scalar, the mean over the present rows of all terms; 0 if there are none.
    """
    mine = slice(ranks.rank * len(video_id_B), (ranks.rank + 1) * len(video_id_B))
    video_id_G, span_G2 = gather_plain(video_id_B, ranks), gather_plain(span_B2, ranks)
    sums = torch.zeros(2, dtype=torch.float64, device=video_id_B.device)
    presence = gather_plain(torch.stack(list(present.values()), dim=1), ranks).unbind(1)
    for term, present_G in zip(present, presence, strict=True):
        identity = _identity(present_G, video_id_G, span_G2, _equal_texts(text_id, term, settings, ranks), mine)
        others = identity.count * (len(identity.video_id_P) - 1)
        sums += torch.tensor([others - _masked(identity, settings), identity.count], device=sums.device)
    negatives, rows = sum_over(sums, ranks).unbind()
    return negatives / rows.clamp(min=1)


def clamp_logit_scale_(log_scale: torch.nn.Parameter, highest: float) -> None:
    """Clamp the learnt logarithm of the logit scale to 0 … ``log(highest)``, in place; call it after a step."""
    with torch.no_grad():
        log_scale.clamp_(0.0, math.log(highest))


@dataclass(frozen=True)
class _Identity:
    """The videos and texts of one term's present rows; this rank's are `count` consecutive ones from `first` on."""

    video_id_P: torch.Tensor
    span_P2: torch.Tensor
    text_id_P: torch.Tensor | None
    """None: pairs with equal texts are negatives."""
    first: int
    count: int


@dataclass(frozen=True)
class _Pairs:
    """The present pairs of one term in the global batch."""

    video_PD: torch.Tensor
    text_PD: torch.Tensor
    identity: _Identity


@dataclass(frozen=True)
class _GlobalBatch:
    """The global batch, with its rows in the order of ranks."""

    rows: torch.Tensor
    present: torch.Tensor
    video_id: torch.Tensor
    span: torch.Tensor
    mine: slice

    def pairs(self, text_GD: torch.Tensor, term: int, text_id_G: torch.Tensor | None) -> _Pairs:
        """Return the rows that have a text of term number `term`."""
        present_G = self.present[:, term]
        index_P = present_G.nonzero().squeeze(1)
        return _Pairs(
            video_PD=self.rows.index_select(0, index_P),
            text_PD=text_GD.index_select(0, index_P),
            identity=_identity(present_G, self.video_id, self.span, text_id_G, self.mine),
        )


def _identity(
    present_G: torch.Tensor,
    video_id_G: torch.Tensor,
    span_G2: torch.Tensor,
    text_id_G: torch.Tensor | None,
    mine: slice,
) -> _Identity:
    """Return the videos and texts of the present rows; `mine` are this rank's rows of the global batch."""
    return _Identity(
        video_id_P=video_id_G[present_G],
        span_P2=span_G2[present_G],
        text_id_P=None if text_id_G is None else text_id_G[present_G],
        first=int(present_G[: mine.start].sum()),
        count=int(present_G[mine].sum()),
    )


def _equal_texts(
    text_id: Mapping[str, torch.Tensor] | None, term: str, settings: LossSettings, ranks: Ranks
) -> torch.Tensor | None:
    """Return the numbers of a term's texts in the global batch; None if equal texts are negatives."""
    if text_id is None or settings.same_text == "keep":
        return None
    return gather_plain(text_id[term], ranks)


def _fine(x: torch.Tensor) -> torch.Tensor:
    """Convert to float32, unless the type is finer."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _share(pairs: _Pairs, logit_scale: torch.Tensor, settings: LossSettings) -> torch.Tensor:
    """Return both directions of this rank's rows, divided by the number of pairs in the global batch."""
    total = max(1, len(pairs.video_PD))
    there = _one_direction(pairs.video_PD, pairs.text_PD, pairs, logit_scale, settings)
    back = _one_direction(pairs.text_PD, pairs.video_PD, pairs, logit_scale, settings)
    return (there + back) / total


def _one_direction(
    from_PD: torch.Tensor, to_PD: torch.Tensor, pairs: _Pairs, logit_scale: torch.Tensor, settings: LossSettings
) -> torch.Tensor:
    """Sum the negative log-likelihood of their own column over this rank's rows."""
    identity = pairs.identity
    query_QD = from_PD.narrow(0, identity.first, identity.count)
    sums = []
    at = identity.first
    for query_cD in query_QD.split(settings.chunk):
        args = (query_cD, to_PD, logit_scale, at, identity, settings)
        sums.append(checkpoint(_chunk, *args, use_reentrant=False, preserve_rng_state=False))
        at += len(query_cD)
    return torch.stack(sums).sum()


def _chunk(
    query_cD: torch.Tensor,
    to_PD: torch.Tensor,
    scale: torch.Tensor,
    at: int,
    identity: _Identity,
    settings: LossSettings,
) -> torch.Tensor:
    """Return the summed cross-entropy of rows `at`, `at` + 1, … of the pairs against all columns."""
    with torch.autocast(query_cD.device.type, enabled=False):
        own_c = torch.arange(at, at + len(query_cD), device=query_cD.device)
        logits_cP = (query_cD * scale.to(query_cD.dtype)) @ to_PD.T
        if (masked_cP := _not_negatives(own_c, identity, settings)) is not None:
            logits_cP = logits_cP.masked_fill_(masked_cP, -math.inf)
        return F.cross_entropy(logits_cP, own_c, reduction="sum")


def _masked(identity: _Identity, settings: LossSettings) -> int:
    """Count the pairs of this rank's rows that are no negatives, a row's own pair not counted."""
    own_Q = torch.arange(identity.first, identity.first + identity.count, device=identity.video_id_P.device)
    masks = (_not_negatives(own_c, identity, settings) for own_c in own_Q.split(settings.chunk))
    return sum(int(masked_cP.sum()) for masked_cP in masks if masked_cP is not None)


def _not_negatives(own_c: torch.Tensor, identity: _Identity, settings: LossSettings) -> torch.Tensor | None:
    """Return True for columns of the row's video or text, except for the row's own; bool [c, P]; None: no such."""
    if settings.same_video == "keep" and identity.text_id_P is None:
        return None
    same_cP = identity.video_id_P[own_c, None] == identity.video_id_P
    if settings.same_video == "keep":
        same_cP = torch.zeros_like(same_cP)
    if settings.same_video == "overlap":
        start_P, end_P = identity.span_P2.unbind(1)
        same_cP &= (start_P[own_c, None] < end_P) & (start_P < end_P[own_c, None])
    if identity.text_id_P is not None:
        same_cP |= identity.text_id_P[own_c, None] == identity.text_id_P
    same_cP[torch.arange(len(own_c), device=own_c.device), own_c] = False
    return same_cP
