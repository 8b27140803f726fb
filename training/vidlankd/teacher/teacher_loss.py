"""The teacher's objectives over a global batch: who is told apart from whom, and what counts. Pure.

In the paper each clip has a single negative: the batch is cut into halves, and row k of the first and row k of the
second are each other's. Here the rows that have text and features are cut so; where that would pair clips of one video
(a small set of videos comes round and round), the second half is shifted until the fewest are. With an odd number the
last one has no partner and is left out. The order of an epoch is drawn anew, so are the pairs.

Shapes: B rows at hand, N rows of the global batch, U usable rows of it, L tokens, H width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch.nn import functional as F

from runtime.settings import Settings
from training.models.vidlankd.losses import token_hinge, token_hinge_in_batch, token_info_nce


class TeacherLossSettings(Settings):
    """What the teacher learns; the defaults are the paper's."""

    contrastive: float = Field(default=1.0, ge=0)
    """Weight of texts against clips; 0: the video tower is not trained, nor run."""
    mlm: float = Field(default=1.0, ge=0)
    """Weight of masked language modelling."""
    kind: Literal["hinge", "all_hinge", "info_nce"] = "hinge"
    """A clip is told apart from: `hinge`, one other clip; `all_hinge`, each other clip of the global batch;
    `info_nce`, all of them, by cross entropy."""
    level: Literal["token", "sentence"] = "token"
    """What is compared with a clip: each token's vector, or their mean."""
    margin: float = Field(default=1.0, gt=0)
    """Of the hinge."""
    temperature: float = Field(default=0.07, gt=0)
    """Of `info_nce`."""

    @model_validator(mode="after")
    def _something(self) -> TeacherLossSettings:
        if not self.contrastive and not self.mlm:
            raise ValueError("contrastive=0 and mlm=0: nothing is left to learn; give one of them a weight above 0")
        return self


@dataclass(frozen=True)
class GlobalRows:
    """What the contrastive term must know of the rows of the global batch."""

    weight_N: torch.Tensor
    """float32: 0 for rows without text or features."""
    video_id_N: torch.Tensor
    """int64: clips of one video share it."""
    partner_N: torch.Tensor
    """int64: the row that each is told apart from; its own number where it has none."""
    compared_N: torch.Tensor
    """float32: 1 for rows that the term is taken over."""

    @classmethod
    def of(cls, weight_N: torch.Tensor, video_id_N: torch.Tensor, settings: TeacherLossSettings) -> GlobalRows:
        """Find partners, and the rows that have something of another video to be told apart from."""
        partner_N = partners(weight_N, video_id_N)
        if settings.kind == "hinge":
            found_N = video_id_N[partner_N] != video_id_N
        else:
            found_N = _allowed(weight_N, video_id_N, slice(None)).any(1)
        return cls(weight_N, video_id_N, partner_N, ((weight_N > 0) & found_N).float())


def partners(weight_N: torch.Tensor, video_id_N: torch.Tensor) -> torch.Tensor:
    """For each row of the global batch the row that it is told apart from; its own number where it has none, int64."""
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
    """The contrastive term of some rows, summed over what `contrastive_count` counts.

    Args:
        hidden_BLH: last hidden states of the rows, of any length.
        valid_BL: false on padding.
        clips_NH: vectors of unit length of all clips of the global batch.
        every: the rows of the global batch.
        rows: which of them these are.
        settings: kind and level.
    """
    vectors_BLH, there_BL = _anchors(hidden_BLH, valid_BL, settings)
    weight_B = every.compared_N[rows]
    if settings.kind == "hinge":
        own_BH, other_BH = clips_NH[rows], clips_NH[every.partner_N[rows]]
        return token_hinge(vectors_BLH, own_BH, other_BH, there_BL, weight_B, settings.margin, reduction="sum")
    own_B = torch.arange(len(clips_NH), device=weight_B.device)[rows]
    allowed_BN = _allowed(every.weight_N, every.video_id_N, rows)
    told = (vectors_BLH, clips_NH, own_B, there_BL, allowed_BN, weight_B)
    if settings.kind == "all_hinge":
        return token_hinge_in_batch(*told, margin=settings.margin, reduction="sum")
    return token_info_nce(*told, temperature=settings.temperature, reduction="sum")


def contrastive_count(valid_BL: torch.Tensor, compared_B: torch.Tensor, settings: TeacherLossSettings) -> torch.Tensor:
    """How many tokens, or sentences, of these rows are compared with clips."""
    if settings.level == "sentence":
        return compared_B.sum()
    return (valid_BL * compared_B[:, None]).sum()


def pairs_told_apart(
    hidden_BLH: torch.Tensor,
    valid_BL: torch.Tensor,
    clips_BH: torch.Tensor,
    every: GlobalRows,
    settings: TeacherLossSettings,
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many tokens (or sentences) of a whole batch are nearer to their own clip than to their partner's.

    Returns:
        How many are, and of how many it was asked.
    """
    vectors_BLH, there_BL = _anchors(hidden_BLH, valid_BL, settings)
    apart_BH = clips_BH - clips_BH[every.partner_N]
    asked_BL = there_BL & (every.video_id_N[every.partner_N] != every.video_id_N)[:, None]
    nearer_BL = torch.einsum("blh,bh->bl", vectors_BLH, apart_BH.to(vectors_BLH.dtype)) > 0
    return (nearer_BL & asked_BL).sum(), asked_BL.sum()


def _anchors(
    hidden_BLH: torch.Tensor, valid_BL: torch.Tensor, settings: TeacherLossSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of unit length that are compared with clips, and which of them are there."""
    hidden_BLH = hidden_BLH.float()
    if settings.level == "token":
        return F.normalize(hidden_BLH, dim=-1), valid_BL
    mean_BH = (hidden_BLH * valid_BL[..., None]).sum(1) / valid_BL.sum(1, keepdim=True)
    return F.normalize(mean_BH, dim=-1)[:, None], torch.ones_like(valid_BL[:, :1])


def _allowed(weight_N: torch.Tensor, video_id_N: torch.Tensor, rows: slice) -> torch.Tensor:
    """Which clips may be negatives of which rows, bool [B, N]: those that are there, of other videos."""
    return (weight_N > 0) & (video_id_N[rows, None] != video_id_N)


def _shift(first_H: torch.Tensor, second_H: torch.Tensor) -> int:
    """By how much to shift the second half's videos so that the fewest meet themselves; the least that does."""
    if not bool((first_H == second_H).any()):
        return 0
    same_HH = first_H[:, None] == second_H
    rows_H = torch.arange(len(first_H))
    shifted_HH = (rows_H[:, None] + rows_H) % len(first_H)  # row k, shift r: its partner among the second half
    return int(same_HH.gather(1, shifted_HH).sum(0).argmin())
