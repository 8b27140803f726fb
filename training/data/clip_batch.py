"""A batch of decoded clips with their tokenised texts: what VidLA's towers are trained on.

Clips may have different numbers of frames: their frames are one tensor, clip after clip, without padding.

Shapes: B clips, T frames of a clip, F frames of all clips, S pixels of the window's side, C = 3 colours, L text tokens.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import torch
from torch.utils.data import get_worker_info

from training.data.batch import Batch
from training.data.clip_tasks import RootTask
from training.data.recycled_memory import BATCH_MEMORY


@dataclass(frozen=True, kw_only=True)
class ClipBatch(Batch):
    """The clips of a few roots, one rank's share of a global batch, or one micro-batch of it."""

    frames_FSSC: torch.Tensor
    """uint8 RGB: a square window of each frame that contains the crop, clip after clip."""
    length_B: torch.Tensor
    """int64: T of each clip; they add up to F."""
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
    def empty(cls, roots: Sequence[RootTask], frames: int, size: int, black: bool = True) -> ClipBatch:
        """Return the clips of `roots` before decoding: black frames, centre crops, weight 0 and no texts.

        A root that can't be decoded keeps these rows, so that shapes never depend on what is decoded.

        Args:
            roots: the roots, with at least one clip in all.
            frames: T of clips that have no number of their own.
            size: S.
            black: False: leave the pixels as memory has them, for a caller that sets each clip's.
        """
        clips = [(root, clip) for root in roots for clip in root.clips]
        count = len(clips)
        spans = [(clip.video_start, clip.video_end) for _, clip in clips]
        length_B = torch.tensor([clip.frames or frames for _, clip in clips], dtype=torch.int64)
        return cls(
            keys=[clip.key for _, clip in clips],
            frames_FSSC=_pixels((int(length_B.sum()), size, size, 3), black),
            length_B=length_B,
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

    @property
    def video_BTSSC(self) -> torch.Tensor:
        """The frames as [B, T, S, S, C], a view; all clips must have the same T."""
        lengths = self.length_B.unique()
        assert len(lengths) == 1, "clips of several lengths have no common tensor: take `same_length` first"
        return self.frames_FSSC.unflatten(0, (len(self), int(lengths)))

    def rows(self, part: slice) -> ClipBatch:
        """Return a view of some consecutive rows, without the counts."""
        begin, end, _ = part.indices(len(self))
        first, last = int(self.length_B[:begin].sum()), int(self.length_B[:end].sum())
        return replace(super().rows(part), frames_FSSC=self.frames_FSSC[first:last])

    def same_length(self) -> Iterator[ClipBatch]:
        """Yield the runs of clips that have the same number of frames, in order, as views without the counts."""
        begin = 0
        for _, run in groupby(self.length_B.tolist()):
            end = begin + len(list(run))
            yield self.rows(slice(begin, end))
            begin = end

    def split_frames(self, frames: int) -> Iterator[ClipBatch]:
        """Yield pieces whose clips have the same number of frames, in order, without the counts.

        Args:
            frames: most frames of a piece; one clip may have more.
        """
        for run in self.same_length():
            yield from run.split(max(1, frames // int(run.length_B[0])))

    def by_length(self) -> ClipBatch:
        """Return the batch with its rows in the order of their numbers of frames; itself if they are already."""
        if bool((self.length_B.diff() >= 0).all()):
            return self
        order = self.length_B.argsort(stable=True).tolist()
        ordered = self.cat([self.rows(slice(row, row + 1)) for row in order])
        return replace(ordered, skips=self.skips, examples=self.examples, bytes_read=self.bytes_read)


def video_number(video_id: str) -> int:
    """Return a 63-bit number for a video id; equal ids give equal numbers."""
    return _number(video_id.encode())


def text_numbers(tokens_BL: torch.Tensor) -> torch.Tensor:
    """Return a 63-bit number for each row of tokens, int64 [B]; equal rows give equal numbers."""
    return torch.tensor([_number(row.tobytes()) for row in tokens_BL.numpy()], dtype=torch.int64)


def _pixels(shape: tuple[int, ...], black: bool) -> torch.Tensor:
    """Return a new tensor for pixels: in a DataLoader's worker in shared memory, so that it is sent without a copy."""
    if get_worker_info() is None:
        return torch.zeros(shape, dtype=torch.uint8) if black else BATCH_MEMORY.tensor(shape, torch.uint8)
    storage = torch.UntypedStorage._new_shared(math.prod(shape))  # new pages of shared memory are black
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1
