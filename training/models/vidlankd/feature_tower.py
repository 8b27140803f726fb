"""The teacher's video tower: it maps rows of visual features over time to one vector per clip.

As in VidLanKD, two linear layers without a non-linearity between them project the features, a position and a type
embedding are added, a BERT encoder of the language model's shape attends over time, the first row is pooled, and a
small perceptron maps it into the space of the token vectors. (The release adds position and type a second time, inside
BERT; here they are added once.)

Shapes: B clips, T rows over time, D width of a feature, H hidden width.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional as F
from transformers import BertModel

from training.models.vidlankd.bert_model import bert_config
from training.models.vidlankd.kd_model_settings import BertShape

_DROPOUT: Final = 0.3
"""Dropout of the perceptron, as in the paper's code."""


class FeatureTower(nn.Module):
    """Video tower; with `frozen` its random weights are not trained, as in the released code."""

    def __init__(self, shape: BertShape, width: int, max_rows: int, projection: int, frozen: bool = False) -> None:
        """Build with random weights; the caller seeds them.

        Args:
            shape: shape of the encoder; its `positions` are not used.
            width: D, the width of a feature.
            max_rows: rows of the longest time series.
            projection: width between the two linear layers.
            frozen: train no weight of the tower, the perceptron included.
        """
        super().__init__()
        self.max_rows = max_rows
        self.frozen = frozen
        hidden = shape.hidden
        self.projection = nn.Sequential(nn.Linear(width, projection), nn.Linear(projection, hidden))
        config = bert_config(shape.model_copy(update={"positions": max_rows}), vocab_size=1, pad=0)
        config.type_vocab_size = 1
        self.encoder = BertModel(config)
        self.encoder.set_input_embeddings(nn.Identity())  # its inputs are vectors, not word ids
        self.head = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(hidden, hidden))
        self.requires_grad_(not frozen)

    def forward(self, video_BTD: torch.Tensor, frames_BT: torch.Tensor) -> torch.Tensor:
        """Return one vector of unit length per clip, float32 [B, H].

        Args:
            video_BTD: features, T at most `max_rows`; rows that `frames_BT` excludes have no effect.
            frames_BT: bool; true for rows that exist, and always for the first.
        """
        assert video_BTD.shape[1] <= self.max_rows, f"{video_BTD.shape[1]} rows of features, {self.max_rows} at most"
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            rows_BTH = self.projection(video_BTD.float())
            pooled_BH = self.encoder(inputs_embeds=rows_BTH, attention_mask=frames_BT).pooler_output
            return F.normalize(self.head(pooled_BH).float(), dim=-1)
