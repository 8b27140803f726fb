"""The teacher's objectives over a global batch: which pairs are negatives, and which rows contribute. Pure.

In the paper each clip has a single negative: the batch is cut into halves, and row k of the first half and row k of the
second are each other's negatives. Here only rows with text and features are paired. If that pairs clips of one video
(with few videos the same ones return often), the second half is shifted until the fewest pairs are affected. With an
odd number of rows the last one has no partner and is left out. Each epoch has a new order, and so new pairs.

Shapes: B rows of a part, N rows of the global batch, U usable rows of it, L tokens, H width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from training.models.vidlankd.losses import (
    ClipCandidates,
    TextAnchors,
    token_hinge,
    token_hinge_in_batch,
    token_info_nce,
)
from training.vidlankd.vidlankd_settings import TeacherLossSettings


@dataclass(frozen=True)
class GlobalRows:
    """Facts about the rows of the global batch that the contrastive term needs."""

    weight_N: torch.Tensor
    """float32: 0 for rows without text or features."""
    video_id_N: torch.Tensor
    """int64: clips of one video share it."""
    partner_N: torch.Tensor
    """int64: the row whose clip is each row's negative; its own number if it has none."""
    compared_N: torch.Tensor
    """float32: 1 for rows that contribute to the term."""

    @classmethod
    def of(cls, weight_N: torch.Tensor, video_id_N: torch.Tensor, settings: TeacherLossSettings) -> GlobalRows:
        """Pair rows, and find those that have a negative from another video."""
        partner_N = pair_rows(weight_N, video_id_N)
        if settings.kind == "hinge":
            has_negative_N = video_id_N[partner_N] != video_id_N
        else:
            has_negative_N = _allowed(weight_N, video_id_N, slice(None)).any(1)
        return cls(weight_N, video_id_N, partner_N, ((weight_N > 0) & has_negative_N).float())


def pair_rows(weight_N: torch.Tensor, video_id_N: torch.Tensor) -> torch.Tensor:
    """Return each row's partner in the global batch, int64 [N]; its own number if it has none."""
    usable_U = (weight_N > 0).nonzero().squeeze(1).cpu()
    half = len(usable_U) // 2
    first, second = usable_U[:half], usable_U[half : 2 * half]
    second = second.roll(-_shift(video_id_N.cpu()[first], video_id_N.cpu()[second]))
    partner_N = torch.arange(len(weight_N))
    partner_N[first], partner_N[second] = second, first
    return partner_N.to(weight_N.device)


def contrastive_sum(
    hidden_BLH: torch.Tensor,
    valid_BL: torch.Tensor,
    clips_NH: torch.Tensor,
    every: GlobalRows,
    rows: slice,
    settings: TeacherLossSettings,
) -> torch.Tensor:
    """Compute the contrastive term of some rows, summed over what `contrastive_count` counts.

    Args:
        hidden_BLH: last hidden states of the rows; not normalised.
        valid_BL: false on padding.
        clips_NH: vectors of unit length of all clips of the global batch.
        every: the rows of the global batch.
        rows: position of these rows in it.
        settings: kind and level.
    """
    anchors = TextAnchors(*_text_vectors(hidden_BLH, valid_BL, settings), every.compared_N[rows])
    if settings.kind == "hinge":
        own_BH, other_BH = clips_NH[rows], clips_NH[every.partner_N[rows]]
        return token_hinge(anchors, own_BH, other_BH, settings.margin, reduction="sum")
    own_B = torch.arange(len(clips_NH), device=anchors.weight_B.device)[rows]
    candidates = ClipCandidates(clips_NH, own_B, _allowed(every.weight_N, every.video_id_N, rows))
    if settings.kind == "all_hinge":
        return token_hinge_in_batch(anchors, candidates, settings.margin, reduction="sum")
    return token_info_nce(anchors, candidates, settings.temperature, reduction="sum")


def contrastive_count(valid_BL: torch.Tensor, compared_B: torch.Tensor, settings: TeacherLossSettings) -> torch.Tensor:
    """Count the tokens, or sentences, of these rows that are compared with clips."""
    if settings.level == "sentence":
        return compared_B.sum()
    return (valid_BL * compared_B[:, None]).sum()


def count_correct_pairs(
    hidden_BLH: torch.Tensor,
    valid_BL: torch.Tensor,
    clips_BH: torch.Tensor,
    every: GlobalRows,
    settings: TeacherLossSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Count the tokens (or sentences) of a whole batch that are nearer to their own clip than to their partner's.

    Returns:
        The number that are nearer, and the number compared.
    """
    vectors_BLH, valid_BL = _text_vectors(hidden_BLH, valid_BL, settings)
    difference_BH = clips_BH - clips_BH[every.partner_N]
    compared_BL = valid_BL & (every.video_id_N[every.partner_N] != every.video_id_N)[:, None]
    nearer_BL = torch.einsum("blh,bh->bl", vectors_BLH, difference_BH.to(vectors_BLH.dtype)) > 0
    return (nearer_BL & compared_BL).sum(), compared_BL.sum()


def _text_vectors(
    hidden_BLH: torch.Tensor, valid_BL: torch.Tensor, settings: TeacherLossSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the unit vectors that are compared with clips, and which of them are valid."""
    hidden_BLH = hidden_BLH.float()
    if settings.level == "token":
        return F.normalize(hidden_BLH, dim=-1), valid_BL
    mean_BH = (hidden_BLH * valid_BL[..., None]).sum(1) / valid_BL.sum(1, keepdim=True)
    return F.normalize(mean_BH, dim=-1)[:, None], torch.ones_like(valid_BL[:, :1])


def _allowed(weight_N: torch.Tensor, video_id_N: torch.Tensor, rows: slice) -> torch.Tensor:
    """Return the clips that may be negatives of each row, bool [B, N]: those with weight and from other videos."""
    return (weight_N > 0) & (video_id_N[rows, None] != video_id_N)


def _shift(first_H: torch.Tensor, second_H: torch.Tensor) -> int:
    """Return the smallest shift of the second half that pairs the fewest clips of one video."""
    if not bool((first_H == second_H).any()):
        return 0
    same_HH = first_H[:, None] == second_H
    rows_H = torch.arange(len(first_H))
    shifted_HH = (rows_H[:, None] + rows_H) % len(first_H)  # [k, r]: partner of row k after a shift of r
    return int(same_HH.gather(1, shifted_HH).sum(0).argmin())
