"""From root tasks to batches: what a worker makes of a few roots, and how such chunks become one batch.

A clip that can't be used keeps its place: black frames, weight 0, no text present, its reason counted. Shapes never
depend on what the data is like.

Shapes: B clips, T frames, S pixels of the window's side, C = 3 colours, L text tokens.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.errors import MachineError, is_machine_fault
from training.data.decoding.augment import window_of
from training.data.decoding.clip_decoder import Frame, decode_spans
from training.data.media_cache import MediaReader
from training.data.records import Batch, ClipFailed, ClipTask, MediaRef, RootTask

Tokenizer = Callable[[Sequence[str]], torch.Tensor]
"""Texts to int64 [B, L]; must be picklable."""

_FILLER = ""


def filler(terms: Sequence[str], clips: int) -> RootTask:
    """A root that is none: it fills up the last batch of an epoch with clips of weight 0."""
    clip = ClipTask(_FILLER, 0.0, 0.0, 0.0, 0.0, dict.fromkeys(terms))
    return RootTask(_FILLER, _FILLER, MediaRef(_FILLER), (clip,) * clips)


@dataclass
class Chunk:
    """A few roots' clips on their way to the main process: one tensor in shared memory, the rest small."""

    video_BTSSC: torch.Tensor
    crop_B4: NDArray[np.float32]
    weight_B: NDArray[np.float32]
    tokens: dict[str, NDArray[np.int64]]
    present: dict[str, NDArray[np.bool_]]
    video_id_B: NDArray[np.int64]
    span_B2: NDArray[np.float64]
    keys: list[str]
    skips: Counter[str]
    examples: dict[str, str]
    """By reason of a skip: the first clip and what was said of it."""
    bytes_read: int


@dataclass(frozen=True)
class ChunkMaker:
    """Decodes roots and tokenizes their texts; runs in a worker, holds nothing open."""

    reader: MediaReader
    frames: int
    size: int
    tokenizer: Tokenizer | None
    terms: tuple[str, ...]

    def __call__(self, roots: Sequence[RootTask]) -> Chunk:
        """Decode and tokenize.

        Raises:
            MachineError: this machine can't go on; everything else is counted.
        """
        clips = [(root, clip) for root in roots for clip in root.clips]
        chunk = self._empty(clips)
        first = 0
        for root in roots:
            if root.key != _FILLER and _teaches(root):
                self._fill(chunk, first, root)
            first += len(root.clips)
        for term in self.terms:
            texts = [clip.texts[term] for _, clip in clips]
            chunk.present[term] = np.array([bool(text) for text in texts]) & (chunk.weight_B > 0)
            if self.tokenizer is not None:
                chunk.tokens[term] = np.asarray(self.tokenizer([text or "" for text in texts]))
        return chunk

    def _empty(self, clips: Sequence[tuple[RootTask, ClipTask]]) -> Chunk:
        count = len(clips)
        return Chunk(
            video_BTSSC=torch.zeros((count, self.frames, self.size, self.size, 3), dtype=torch.uint8),
            crop_B4=np.tile(np.array([0, 0, 1, 0], np.float32), (count, 1)),
            weight_B=np.zeros(count, np.float32),
            tokens={},
            present={},
            video_id_B=np.array([number_of(root.video_id) for root, _ in clips], np.int64),
            span_B2=np.array([(clip.video_start, clip.video_end) for _, clip in clips], np.float64).reshape(count, 2),
            keys=[clip.key for _, clip in clips],
            skips=Counter(),
            examples={},
            bytes_read=0,
        )

    def _fill(self, chunk: Chunk, first: int, root: RootTask) -> None:
        """Decode one root's clips into their places."""
        for number, found in enumerate(self._decoded(chunk, root), start=first):
            if isinstance(found, ClipFailed):
                chunk.skips[found.reason] += 1
                chunk.examples.setdefault(found.reason, f"{chunk.keys[number]}: {found}")
                continue
            crop = root.clips[number - first].crop
            height, width = found[0].shape[:2]
            left, top, chunk.crop_B4[number] = window_of(crop, width, height)
            video_TSSC = chunk.video_BTSSC[number].numpy()
            for frame, place in zip(found, video_TSSC, strict=True):
                place[:] = frame[top : top + self.size, left : left + self.size]
            chunk.weight_B[number] = 1.0

    def _decoded(self, chunk: Chunk, root: RootTask) -> Sequence[list[Frame] | ClipFailed]:
        try:
            data = self.reader.read(root.media)
            chunk.bytes_read += len(data) if isinstance(data, bytes) else data.stat().st_size
            return decode_spans(data, [(c.start, c.end) for c in root.clips], self.frames, size=self.size)
        except ClipFailed as failed:
            return [failed] * len(root.clips)
        except OSError as error:
            if is_machine_fault(error):
                raise MachineError(f"{root.media.url}: {error}") from None
            return [ClipFailed("unreadable", f"{root.media.url}: {error}")] * len(root.clips)


def _teaches(root: RootTask) -> bool:
    """Whether decoding is worth it: some text goes with it, or none was asked for (evaluation)."""
    return any(not clip.texts or any(clip.texts.values()) for clip in root.clips)


def number_of(video_id: str) -> int:
    """A 63-bit number of a video's id; equal ids give equal numbers."""
    return int.from_bytes(hashlib.blake2b(video_id.encode(), digest_size=8).digest(), "big") >> 1


def join(chunks: Sequence[Chunk], pin: bool = False) -> Batch:
    """Put chunks together to one batch.

    Args:
        chunks: at least one, of equal shapes but for their number of clips.
        pin: lay the frames into page-locked memory, from which they go to a GPU while it works.
    """
    video_BTSSC = chunks[0].video_BTSSC
    if len(chunks) > 1 or pin:
        clips = sum(len(chunk.keys) for chunk in chunks)
        video_BTSSC = torch.empty((clips, *video_BTSSC.shape[1:]), dtype=torch.uint8, pin_memory=pin)
        torch.cat([chunk.video_BTSSC for chunk in chunks], out=video_BTSSC)
    return Batch(
        video_BTSSC=video_BTSSC,
        crop_B4=_joined([chunk.crop_B4 for chunk in chunks]),
        weight_B=_joined([chunk.weight_B for chunk in chunks]),
        tokens=_by_term([chunk.tokens for chunk in chunks]),
        present=_by_term([chunk.present for chunk in chunks]),
        video_id_B=_joined([chunk.video_id_B for chunk in chunks]),
        span_B2=_joined([chunk.span_B2 for chunk in chunks]),
        keys=[key for chunk in chunks for key in chunk.keys],
        skips=sum((chunk.skips for chunk in chunks), Counter()),
        examples={reason: said for chunk in reversed(chunks) for reason, said in chunk.examples.items()},
        bytes_read=sum(chunk.bytes_read for chunk in chunks),
    )


def _by_term(parts: Sequence[Mapping[str, NDArray[np.generic]]]) -> dict[str, torch.Tensor]:
    return {term: _joined([part[term] for part in parts]) for term in parts[0]}


def _joined(parts: Sequence[NDArray[np.generic]]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(parts))
