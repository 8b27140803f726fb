"""What travels to the teacher and to the student: a batch of token blocks, and the clips they belong to.

`training.corpus.block_batches` makes `TextBatch`es of a tokenised corpus, `training.vidlankd.teacher.clip_text_batches` makes
`ClipTextBatch`es of curated shards and their visual features. Both are what `training.engine.training_loop` takes for a batch.

Shapes: B rows, L tokens, T rows of visual features, D their width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from training.data.batch import Batch

IGNORED: Final = -100
"""Label of a position that nothing is predicted for (PyTorch's `ignore_index`)."""


@dataclass(frozen=True, kw_only=True)
class TextBatch(Batch):
    """Blocks of tokens with what masked language modelling asks of them; one rank's share, or a part of it."""

    ids_BL: torch.Tensor
    """int64: the tokens as they were read, with [CLS], [SEP] and padding."""
    masked_BL: torch.Tensor
    """int64: what a model sees; the tokens chosen for prediction are masked, replaced or kept (80/10/10)."""
    labels_BL: torch.Tensor
    """int64: the token to predict, `IGNORED` elsewhere."""
    valid_BL: torch.Tensor
    """bool: false on padding. Every row has a true position."""
    special_BL: torch.Tensor
    """bool: [CLS], [SEP] and padding."""
    number_B: torch.Tensor
    """int64: the block's number in its corpus; with the copy of a static mask it names a cached teacher state."""
    copy_B: torch.Tensor
    """int64: which of several static masks this is; 0 where masks are drawn anew in each epoch."""

    def labelled(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions with a label in the flattened batch, and their labels, both int64 [M]."""
        labels_N = self.labels_BL.flatten()
        chosen_M = (labels_N != IGNORED).nonzero().squeeze(1)
        return chosen_M, labels_N[chosen_M]


@dataclass(frozen=True, kw_only=True)
class ClipTextBatch(Batch):
    """Texts of clips with the visual features of their spans; one rank's share of a global batch."""

    text: TextBatch
    video_BTD: torch.Tensor
    """float16: rows of features over time; zeros beyond `frames_BT` and where there are none."""
    frames_BT: torch.Tensor
    """bool: which rows of `video_BTD` are there. The first is true in every row, so that nothing attends to nothing."""
    weight_B: torch.Tensor
    """float32: 1, or 0 for a row without a text, without features, or one that fills up the last batch."""
    video_id_B: torch.Tensor
    """int64: clips of one video share it."""

    @property
    def usable(self) -> int:
        """Clips that take part."""
        return int(self.weight_B.sum())
