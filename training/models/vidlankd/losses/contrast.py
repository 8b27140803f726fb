"""The teacher's objectives: each token of a text lies nearer to its clip than to others (VidLanKD, section 3.2).

Anchors are texts only, as in the paper: a clip is never told apart from other texts. Vectors come L2-normalised. A row
of weight 0 is in no sum and no count. The forms for whole sentences are those for tokens with one token a row.

Shapes: B rows, L tokens, H width, N clips (of all ranks, say).
"""

from __future__ import annotations

import math

import torch

from training.models.vidlankd.losses.reduction import Reduction, exactly, fine, reduced


def token_hinge(
    hidden_BLH: torch.Tensor,
    own_BH: torch.Tensor,
    other_BH: torch.Tensor,
    valid_BL: torch.Tensor,
    weight_B: torch.Tensor,
    margin: float = 1.0,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """The paper's: ``max(0, margin - h.own + h.other)`` with a single other clip for each row; scalar.

    Args:
        hidden_BLH: vectors of tokens.
        own_BH: the clip of each row.
        other_BH: the clip it is told apart from.
        valid_BL: bool, false on padding.
        weight_B: of each row, 0 or 1; a fraction counts as such in mean and sum.
        margin: the paper's alpha.
        reduction: over valid tokens, by the weight of their row.
    """
    with exactly(hidden_BLH.device):
        hidden_BLH = _filled(hidden_BLH, valid_BL, weight_B)
        apart_BH = fine(_clean(other_BH, weight_B)) - fine(_clean(own_BH, weight_B))
        loss_BL = (margin + torch.einsum("blh,bh->bl", hidden_BLH, apart_BH)).clamp(min=0)
    return _over_tokens(loss_BL, valid_BL, weight_B, reduction)


def token_hinge_in_batch(
    hidden_BLH: torch.Tensor,
    clips_NH: torch.Tensor,
    positives_B: torch.Tensor,
    valid_BL: torch.Tensor,
    allowed_BN: torch.Tensor,
    weight_B: torch.Tensor,
    margin: float = 1.0,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """The hinge against every allowed clip, averaged over these; scalar. A row with none of them adds 0.

    Args:
        hidden_BLH: vectors of tokens.
        clips_NH: all clips at hand.
        positives_B: int64, each row's own among them.
        valid_BL: bool, false on padding.
        allowed_BN: bool, which clips may be negatives of a row: not those of its video, nor of weight 0. The row's own
            never is one, whatever stands here.
        weight_B: of each row, 0 or 1.
        margin: the paper's alpha.
        reduction: over valid tokens, by the weight of their row.
    """
    with exactly(hidden_BLH.device):
        scores_BLN = _scores(hidden_BLH, clips_NH, valid_BL, weight_B)
        own_BL1 = _own(scores_BLN, positives_B)
        allowed_BN = allowed_BN.scatter(1, positives_B[:, None], False)
        loss_BLN = (margin - own_BL1 + scores_BLN).clamp(min=0).masked_fill(~allowed_BN[:, None], 0.0)
        loss_BL = loss_BLN.sum(2) / allowed_BN.sum(1, keepdim=True).clamp(min=1)
    return _over_tokens(loss_BL, valid_BL, weight_B, reduction)


def token_info_nce(
    hidden_BLH: torch.Tensor,
    clips_NH: torch.Tensor,
    positives_B: torch.Tensor,
    valid_BL: torch.Tensor,
    allowed_BN: torch.Tensor,
    weight_B: torch.Tensor,
    temperature: float = 0.07,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """Cross entropy of a token's own clip among the allowed ones (van den Oord et al. 2018, equation 4); scalar.

    Arguments as `token_hinge_in_batch`'s; `temperature` divides the cosines.
    """
    with exactly(hidden_BLH.device):
        logits_BLN = _scores(hidden_BLH, clips_NH, valid_BL, weight_B) / temperature
        own_BL1 = _own(logits_BLN, positives_B)
        allowed_BN = allowed_BN.scatter(1, positives_B[:, None], True)
        loss_BL = logits_BLN.masked_fill(~allowed_BN[:, None], -math.inf).logsumexp(2) - own_BL1.squeeze(2)
    return _over_tokens(loss_BL, valid_BL, weight_B, reduction)


def sentence_hinge(
    text_BH: torch.Tensor,
    own_BH: torch.Tensor,
    other_BH: torch.Tensor,
    weight_B: torch.Tensor,
    margin: float = 1.0,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """`token_hinge` with one vector for a text; the mean is over texts by weight."""
    return token_hinge(text_BH[:, None], own_BH, other_BH, _one_each(text_BH), weight_B, margin, reduction)


def sentence_info_nce(
    text_BH: torch.Tensor,
    clips_NH: torch.Tensor,
    positives_B: torch.Tensor,
    allowed_BN: torch.Tensor,
    weight_B: torch.Tensor,
    temperature: float = 0.07,
    reduction: Reduction = "mean",
) -> torch.Tensor:
    """`token_info_nce` with one vector for a text; the mean is over texts by weight."""
    one_B1 = _one_each(text_BH)
    return token_info_nce(text_BH[:, None], clips_NH, positives_B, one_B1, allowed_BN, weight_B, temperature, reduction)


def _one_each(text_BH: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(text_BH), 1, dtype=torch.bool, device=text_BH.device)


def _scores(
    hidden_BLH: torch.Tensor, clips_NH: torch.Tensor, valid_BL: torch.Tensor, weight_B: torch.Tensor
) -> torch.Tensor:
    """Cosines of every token with every clip; [B, L, N]."""
    hidden_BLH, clips_NH = _filled(hidden_BLH, valid_BL, weight_B), fine(clips_NH)
    return hidden_BLH @ clips_NH.T.to(hidden_BLH.dtype)


def _own(scores_BLN: torch.Tensor, positives_B: torch.Tensor) -> torch.Tensor:
    return scores_BLN.gather(2, positives_B[:, None, None].expand(-1, scores_BLN.shape[1], 1))


def _filled(hidden_BLH: torch.Tensor, valid_BL: torch.Tensor, weight_B: torch.Tensor) -> torch.Tensor:
    """Zeros in place of what does not count, which may be anything."""
    return fine(hidden_BLH).masked_fill(~(valid_BL & (weight_B > 0)[:, None])[..., None], 0.0)


def _clean(clip_BH: torch.Tensor, weight_B: torch.Tensor) -> torch.Tensor:
    return clip_BH.masked_fill((weight_B <= 0)[:, None], 0.0)


def _over_tokens(
    loss_BL: torch.Tensor, valid_BL: torch.Tensor, weight_B: torch.Tensor, reduction: Reduction
) -> torch.Tensor:
    share_BL = valid_BL * weight_B[:, None].to(loss_BL.dtype)
    return reduced((loss_BL * share_BL).sum(), share_BL.sum(), reduction)
