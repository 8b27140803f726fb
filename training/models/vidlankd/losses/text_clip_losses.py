"""The teacher's contrastive losses: pull each token of a text to its clip and away from others (VidLanKD, section 3.2).

Anchors are texts only, as in the paper: a clip is never contrasted with other texts. Vectors come L2-normalised. A row
of weight 0 is in no sum and no count. For one vector per text, give each row a single token.

Shapes: B rows, L tokens, H width, N clips (of all ranks, for example).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from training.models.vidlankd.losses.loss_arithmetic import Reduction, at_least_float32, reduce, without_autocast


@dataclass(frozen=True)
class TextAnchors:
    """Vectors of texts' tokens that are compared with clips."""

    vectors_BLH: torch.Tensor
    valid_BL: torch.Tensor
    """bool, false on padding."""
    weight_B: torch.Tensor
    """Weight of each row in means and sums, 0 or 1; a fraction counts as such."""

    def clean_BLH(self) -> torch.Tensor:
        """Return the vectors, with zeros in positions that do not count (their content may be anything)."""
        counted_BL = self.valid_BL & (self.weight_B > 0)[:, None]
        return at_least_float32(self.vectors_BLH).masked_fill(~counted_BL[..., None], 0.0)

    def reduce(self, loss_BL: torch.Tensor, reduction: Reduction) -> torch.Tensor:
        """Reduce a loss over valid tokens, by the weight of their row."""
        share_BL = self.valid_BL * self.weight_B[:, None].to(loss_BL.dtype)
        return reduce((loss_BL * share_BL).sum(), share_BL.sum(), reduction)


@dataclass(frozen=True)
class ClipCandidates:
    """Clips among which each row has one positive and some negatives."""

    clips_NH: torch.Tensor
    positives_B: torch.Tensor
    """int64: the row's own clip."""
    allowed_BN: torch.Tensor
    """bool: clips that may be negatives of a row, so no clips of its video and none of weight 0. The row's own clip is
    never a negative, whatever this says."""

    def scores_BLN(self, anchors: TextAnchors) -> torch.Tensor:
        """Return the cosine of every token with every clip."""
        hidden_BLH, clips_NH = anchors.clean_BLH(), at_least_float32(self.clips_NH)
        return hidden_BLH @ clips_NH.T.to(hidden_BLH.dtype)

    def own_BL1(self, scores_BLN: torch.Tensor) -> torch.Tensor:
        """Pick every token's score with its own clip."""
        return scores_BLN.gather(2, self.positives_B[:, None, None].expand(-1, scores_BLN.shape[1], 1))

    def allow_own(self, allowed: bool) -> torch.Tensor:
        """Return `allowed_BN` with the own clip of each row set to `allowed`."""
        return self.allowed_BN.scatter(1, self.positives_B[:, None], allowed)


def token_hinge(
    anchors: TextAnchors,
    own_BH: torch.Tensor,
    other_BH: torch.Tensor,
    margin: float = 1.0,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Compute the paper's hinge, ``max(0, margin - h.own + h.other)``, with one negative clip per row; scalar.

    Args:
        anchors: tokens, and how much each row counts.
        own_BH: the clip of each row.
        other_BH: the negative of each row.
        margin: the paper's alpha.
        reduction: over valid tokens, by the weight of their row.
    """
    with without_autocast(anchors.vectors_BLH.device):
        away_BH = _clean(other_BH, anchors.weight_B) - _clean(own_BH, anchors.weight_B)
        loss_BL = (margin + torch.einsum("blh,bh->bl", anchors.clean_BLH(), away_BH)).clamp(min=0)
    return anchors.reduce(loss_BL, reduction)


def token_hinge_in_batch(
    anchors: TextAnchors, candidates: ClipCandidates, margin: float = 1.0, reduction: Reduction = "mean"
) -> torch.Tensor:
    """Compute the hinge against every allowed clip, averaged over these; scalar. A row without negatives adds 0."""
    with without_autocast(anchors.vectors_BLH.device):
        scores_BLN = candidates.scores_BLN(anchors)
        own_BL1 = candidates.own_BL1(scores_BLN)
        allowed_BN = candidates.allow_own(False)
        loss_BLN = (margin - own_BL1 + scores_BLN).clamp(min=0).masked_fill(~allowed_BN[:, None], 0.0)
        loss_BL = loss_BLN.sum(2) / allowed_BN.sum(1, keepdim=True).clamp(min=1)
    return anchors.reduce(loss_BL, reduction)


def token_info_nce(
    anchors: TextAnchors, candidates: ClipCandidates, temperature: float = 0.07, reduction: Reduction = "mean"
) -> torch.Tensor:
    """Compute the cross entropy of a token's own clip among the allowed ones; scalar.

    van den Oord et al. 2018, equation 4; `temperature` divides the cosines.
    """
    with without_autocast(anchors.vectors_BLH.device):
        logits_BLN = candidates.scores_BLN(anchors) / temperature
        own_BL1 = candidates.own_BL1(logits_BLN)
        allowed_BN = candidates.allow_own(True)
        loss_BL = logits_BLN.masked_fill(~allowed_BN[:, None], -math.inf).logsumexp(2) - own_BL1.squeeze(2)
    return anchors.reduce(loss_BL, reduction)


def _clean(clip_BH: torch.Tensor, weight_B: torch.Tensor) -> torch.Tensor:
    """Replace the clips of rows without weight by zeros."""
    return at_least_float32(clip_BH.masked_fill((weight_B <= 0)[:, None], 0.0))
