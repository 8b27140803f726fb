"""Batches of the student and the teacher: masked blocks of tokens, and clips with their texts and visual features.

`training.corpus.block_batches` makes `TextBatch`es from a tokenised corpus.
`training.vidlankd.teacher.clip_text_batches` makes `ClipTextBatch`es from curated shards and their visual features.

Shapes: B rows, L tokens, T rows of visual features, D their width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from training.data.batch import Batch

IGNORED: Final = -100
"""Label of a position where no token is predicted (PyTorch's `ignore_index`)."""


@dataclass(frozen=True, kw_only=True)
class TextBatch(Batch):
    """Blocks of tokens with masks and labels for masked language modelling; one rank's share, or a part of it."""

    ids_BL: torch.Tensor
    """int64: the original tokens, with [CLS], [SEP] and padding."""
    masked_BL: torch.Tensor
    """int64: input of the model; tokens chosen for prediction are masked, replaced or kept (80/10/10)."""
    labels_BL: torch.Tensor
    """int64: the token to predict, `IGNORED` at other positions."""
    valid_BL: torch.Tensor
    """bool: false on padding. Every row has a true position."""
    special_BL: torch.Tensor
    """bool: [CLS], [SEP] and padding."""
    number_B: torch.Tensor
    """int64: the block's number in its corpus; together with `copy_B` it names a cached teacher state."""
    copy_B: torch.Tensor
    """int64: number of the static mask; 0 if masks change in each epoch."""

    def labelled(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the positions with a label in the flattened batch, and their labels, both int64 [M]."""
        labels_N = self.labels_BL.flatten()
        chosen_M = (labels_N != IGNORED).nonzero().squeeze(1)
        return chosen_M, labels_N[chosen_M]


@dataclass(frozen=True, kw_only=True)
class ClipTextBatch(Batch):
    """Texts of clips with the visual features of their spans; one rank's share of a global batch."""

    text: TextBatch
    video_BTD: torch.Tensor
    """float16: rows of features over time; zeros in rows that `frames_BT` excludes."""
    frames_BT: torch.Tensor
    """bool: rows of `video_BTD` that exist. The first is always true, so that attention has an input."""
    weight_B: torch.Tensor
    """float32: 1; or 0 for a row without text, without features, or one that pads the last batch."""
    video_id_B: torch.Tensor
    """int64: clips of one video share it."""

    @property
    def usable(self) -> int:
        """Number of clips that contribute to the loss."""
        return int(self.weight_B.sum())
