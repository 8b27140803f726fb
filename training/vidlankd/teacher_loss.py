"""The teacher's objectives over a global batch: who is told apart from whom, and what counts. Pure.

In the paper each clip has a single negative: the batch is cut into halves, and row k of the first and row k of the
second are each other's. The order of an epoch is drawn anew, so are the pairs. With an odd batch the last row has none
and is left out, as are rows whose partner is of the same video, or has no features.

Shapes: B rows at hand, N rows of the global batch, L tokens, H width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch.nn import functional as F

from runtime.config import Settings
from training.vidlankd.losses import token_hinge, token_hinge_in_batch, token_info_nce


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
class Clips:
    """The clips of the global batch, as the contrastive term sees them."""

    vectors_NH: torch.Tensor
    """Of unit length."""
    weight_N: torch.Tensor
    """0 for rows without text or features."""
    video_id_N: torch.Tensor
    """Clips of one video share it."""


def partners(count: int) -> torch.Tensor:
    """For each row of the global batch the row that it is told apart from; its own number where it has none, int64."""
    half = count // 2
    rows_N = torch.arange(count)
    partner_N = torch.where(rows_N < half, rows_N + half, rows_N - half)
    return torch.where(rows_N < 2 * half, partner_N, rows_N)


def compared(weight_N: torch.Tensor, video_id_N: torch.Tensor, settings: TeacherLossSettings) -> torch.Tensor:
    """Which rows of the global batch the contrastive term is taken over, float32 [N].

    Those that are there, and have something of another video to be told apart from.
    """
    there_N = weight_N > 0
    if settings.kind == "hinge":
        partner_N = partners(len(weight_N)).to(weight_N.device)
        found_N = there_N[partner_N] & (video_id_N[partner_N] != video_id_N)  # without a partner: the same video
    else:
        found_N = _allowed(weight_N, video_id_N, slice(None)).any(1)
    return (there_N & found_N).float()


def contrastive_sum(
    hidden_BLH: torch.Tensor, valid_BL: torch.Tensor, clips: Clips, rows: slice, settings: TeacherLossSettings
) -> torch.Tensor:
    """The contrastive term of some rows, summed over what `contrastive_count` counts.

    Args:
        hidden_BLH: last hidden states of the rows, of any length.
        valid_BL: false on padding.
        clips: of the global batch.
        rows: which rows of the global batch these are.
        settings: kind and level.
    """
    vectors_BLH, there_BL = _anchors(hidden_BLH, valid_BL, settings)
    weight_B = compared(clips.weight_N, clips.video_id_N, settings)[rows]
    if settings.kind == "hinge":
        other_BH = clips.vectors_NH[partners(len(clips.weight_N)).to(weight_B.device)[rows]]
        own_BH = clips.vectors_NH[rows]
        return token_hinge(vectors_BLH, own_BH, other_BH, there_BL, weight_B, settings.margin, reduction="sum")
    own_B = torch.arange(len(clips.weight_N), device=weight_B.device)[rows]
    allowed_BN = _allowed(clips.weight_N, clips.video_id_N, rows)
    told = (vectors_BLH, clips.vectors_NH, own_B, there_BL, allowed_BN, weight_B)
    if settings.kind == "all_hinge":
        return token_hinge_in_batch(*told, margin=settings.margin, reduction="sum")
    return token_info_nce(*told, temperature=settings.temperature, reduction="sum")


def contrastive_count(valid_BL: torch.Tensor, compared_B: torch.Tensor, settings: TeacherLossSettings) -> torch.Tensor:
    """How many tokens, or sentences, of these rows are compared with clips."""
    if settings.level == "sentence":
        return compared_B.sum()
    return (valid_BL * compared_B[:, None]).sum()


def pairs_told_apart(
    hidden_BLH: torch.Tensor, valid_BL: torch.Tensor, clips: Clips, settings: TeacherLossSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many tokens (or sentences) of a whole batch are nearer to their own clip than to their partner's.

    Returns:
        How many are, and of how many it was asked.
    """
    vectors_BLH, there_BL = _anchors(hidden_BLH, valid_BL, settings)
    partner_N = partners(len(clips.weight_N)).to(clips.weight_N.device)
    paired_N = compared(clips.weight_N, clips.video_id_N, settings.model_copy(update={"kind": "hinge"}))
    apart_NH = clips.vectors_NH - clips.vectors_NH[partner_N]
    asked_BL = there_BL & (paired_N > 0)[:, None]
    nearer_BL = torch.einsum("blh,bh->bl", vectors_BLH, apart_NH.to(vectors_BLH.dtype)) > 0
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
