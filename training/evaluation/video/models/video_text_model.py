"""The interface of a model that a benchmark scores: clips and texts to embeddings in one space.

VidLA is such a model; `frame_models` and `transformers_models` make others into one.

Shapes: B clips or texts, T frames, C colours, S pixels of a side, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.nn import functional as F


class TowerTokenizer(Protocol):
    """Turns texts into the input of `encode_text`."""

    @property
    def context(self) -> int:
        """Tokens that the text tower takes; longer texts are cut."""

    def count(self, text: str) -> int:
        """Return the number of tokens of a whole text."""

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return int64 [B, ...], a row for each text."""


class VideoTextModel(Protocol):
    """A model of videos and texts, in evaluation mode."""

    @property
    def image_size(self) -> int:
        """S, side of a frame in pixels."""

    @property
    def embed_dim(self) -> int:
        """D, length of an embedding."""

    @property
    def tokenizer(self) -> TowerTokenizer:
        """The tokenizer of its text tower."""

    @property
    def aggregation(self) -> str:
        """How frames become one embedding, for reports: `video tower` or `mean of frames`."""

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each colour, for normalisation."""

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each colour, for normalisation."""

    @property
    def logit_scale(self) -> torch.Tensor:
        """Logarithm of the scale of logits, on the model's device."""

    def encode_video(self, video_BTCHW: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Return embeddings [B, D] of clips with normalised colours."""

    def encode_text(self, tokens: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Return embeddings [B, D] of tokens from `tokenizer`."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return its weights by name."""


def mean_over_frames(embed_images: Callable[[torch.Tensor], torch.Tensor], video_BTCHW: torch.Tensor) -> torch.Tensor:
    """Embed each frame alone and average the unit vectors [B, D]: CLIP4Clip's `meanP`, without a sense of time.

    Args:
        embed_images: from images [N, C, S, S] to embeddings [N, D] of any length.
        video_BTCHW: clips with normalised colours.
    """
    clips, frames = video_BTCHW.shape[:2]
    each_FD = F.normalize(embed_images(video_BTCHW.flatten(0, 1)).float(), dim=-1)
    return each_FD.unflatten(0, (clips, frames)).mean(dim=1)
