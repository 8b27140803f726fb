"""A batch of decoded clips with their tokenised texts: what VidLA's towers are trained on.

Shapes: B clips, T frames, S pixels of the window's side, C = 3 colours, L text tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from training.data.batch import Batch
from training.data.clip_tasks import RootTask


@dataclass(frozen=True, kw_only=True)
class ClipBatch(Batch):
    """The clips of a few roots, one rank's share of a global batch, or one micro-batch of it."""

    video_BTSSC: torch.Tensor
    """uint8 RGB: a square window of each frame that contains the crop."""
    crop_B4: torch.Tensor
    """float32: left, top and side of the crop within the window as shares of S; then 1 to mirror the clip, or 0."""
    weight_B: torch.Tensor
    """float32: 0 for a clip without texts, one that can't be decoded, or one that fills up the last batch; else 1."""
    tokens: dict[str, torch.Tensor]
    """int64 [B, L] by term."""
    present: dict[str, torch.Tensor]
    """bool [B] by term: True if the clip has the text and was decoded."""
    text_id: dict[str, torch.Tensor] = field(default_factory=dict)
    """int64 [B] by term: equal for texts of equal tokens; empty if there are no tokens."""
    too_long: dict[str, torch.Tensor] = field(default_factory=dict)
    """bool [B] by term: True if the text has more tokens than the text tower takes; empty if that is not counted."""
    video_id_B: torch.Tensor
    """int64: equal for clips of one video."""
    span_B2: torch.Tensor
    """float64: start and end in the original video, seconds."""

    @classmethod
    def empty(cls, roots: Sequence[RootTask], frames: int, size: int) -> ClipBatch:
        """Return the clips of `roots` before decoding: black frames, centre crops, weight 0 and no texts.

        A root that can't be decoded keeps these rows, so that shapes never depend on the data.

        Args:
            roots: the roots, with at least one clip in all.
            frames: T.
            size: S.
        """
        clips = [(root, clip) for root in roots for clip in root.clips]
        count = len(clips)
        spans = [(clip.video_start, clip.video_end) for _, clip in clips]
        return cls(
            keys=[clip.key for _, clip in clips],
            video_BTSSC=torch.zeros((count, frames, size, size, 3), dtype=torch.uint8),
            crop_B4=torch.tensor([0.0, 0.0, 1.0, 0.0]).repeat(count, 1),
            weight_B=torch.zeros(count),
            tokens={},
            present={},
            video_id_B=torch.tensor([video_number(root.video_id) for root, _ in clips], dtype=torch.int64),
            span_B2=torch.tensor(spans, dtype=torch.float64).reshape(count, 2),
        )

    @property
    def usable(self) -> int:
        """Number of clips that were decoded."""
        return int(self.weight_B.sum())


def video_number(video_id: str) -> int:
    """Return a 63-bit number for a video id; equal ids give equal numbers."""
    return _number(video_id.encode())


def text_numbers(tokens_BL: torch.Tensor) -> torch.Tensor:
    """Return a 63-bit number for each row of tokens, int64 [B]; equal rows give equal numbers."""
    return torch.tensor([_number(row.tobytes()) for row in tokens_BL.numpy()], dtype=torch.int64)


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1
