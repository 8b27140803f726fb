"""Makes batches of clips from root tasks: decodes the video of each root and tokenises the texts of its clips.

Runs in the workers of `training.data.clip_loader`. A clip that can't be used keeps its place in the batch with black
frames, weight 0 and no texts, and is counted by reason.

Shapes: B clips, T frames of a clip, S pixels of the window's side, C = 3 colours, L text tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from runtime.errors import MachineError, is_machine_fault
from training.data.clip_batch import ClipBatch, text_numbers
from training.data.clip_failure import ClipFailed
from training.data.clip_tasks import ClipTask, RootTask
from training.data.decoding.clip_decoder import Moments, decode_spans
from training.data.decoding.crop_sampling import crop_window
from training.data.decoding.frame_sampling import Frame
from training.data.long_texts import LongTexts
from training.data.media_cache import MediaReader

Tokenizer = Callable[[Sequence[str]], torch.Tensor]
"""Texts to int64 [B, L]; must be picklable."""


@dataclass(frozen=True)
class ClipCollator:
    """Decodes roots and tokenises their texts; can be pickled into a worker and keeps no file open."""

    reader: MediaReader
    frames: int
    """Frames of a clip, unless its task has a number of its own."""
    size: int
    tokenizer: Tokenizer | None
    """None: batches have no tokens."""
    terms: tuple[str, ...]
    long_texts: LongTexts | None = None
    """The treatment of texts that the text tower can't take whole; None: the tokenizer cuts them, uncounted."""

    def __call__(self, roots: Sequence[RootTask]) -> ClipBatch:
        """Decode and tokenise the clips of some roots.

        Raises:
            MachineError: this machine is at fault (disk full, out of memory); all other failures are counted.
        """
        batch = ClipBatch.empty(roots, self.frames, self.size, black=False)
        first, bytes_read = 0, 0
        for root in roots:
            if root.worth_decoding:
                bytes_read += self._decode_into(batch, first, root)
            first += len(root.clips)
        for row in (batch.weight_B == 0).nonzero().flatten().tolist():
            batch.rows(slice(row, row + 1)).frames_FSSC.zero_()
        return self._with_texts(replace(batch, bytes_read=bytes_read), roots)

    def _decode_into(self, batch: ClipBatch, first: int, root: RootTask) -> int:
        """Decode the clips of a root into rows `first` and following; return the number of bytes read."""
        clips = [clip for clip in root.clips if not clip.is_empty]  # those that fill up the root's rows come last
        bytes_read, decoded = self._decode(root, clips)
        end = int(batch.length_B[:first].sum())
        for row, (clip, frames) in enumerate(zip(clips, decoded, strict=True), start=first):
            begin, end = end, end + self._frames(clip)
            if isinstance(frames, ClipFailed):
                batch.skips[frames.reason] += 1
                batch.examples.setdefault(frames.reason, f"{clip.key}: {frames}")
            else:
                batch.crop_B4[row] = self._fill(batch.frames_FSSC[begin:end], clip, frames)
                batch.weight_B[row] = 1.0
        return bytes_read

    def _decode(self, root: RootTask, clips: Sequence[ClipTask]) -> tuple[int, Sequence[list[Frame] | ClipFailed]]:
        """Return the number of bytes read, and the frames of each of a root's clips or why it failed."""
        bytes_read = 0
        try:
            data = self.reader.read(root.media)
            bytes_read = data.stat().st_size if isinstance(data, Path) else len(data)
            spans = [(clip.start, clip.end) for clip in clips]
            moments = [self._moments(clip) for clip in clips]
            counts = [self._frames(clip) for clip in clips]
            return bytes_read, decode_spans(data, spans, counts, size=self.size, moments=moments)
        except ClipFailed as failed:
            return bytes_read, [failed] * len(clips)
        except OSError as error:
            if is_machine_fault(error):
                raise MachineError(f"{root.media.url}: {error}") from None
            return bytes_read, [ClipFailed("unreadable", f"{root.media.url}: {error}")] * len(clips)

    def _moments(self, clip: ClipTask) -> Moments:
        """Draw the moment of each frame in its segment."""
        return None if clip.jitter is None else np.random.default_rng(clip.jitter).random(self._frames(clip))

    def _frames(self, clip: ClipTask) -> int:
        return clip.frames or self.frames

    def _fill(self, video_TSSC: torch.Tensor, clip: ClipTask, frames: list[Frame]) -> torch.Tensor:
        """Write the window of a clip's frames; return the crop in it, a row of `ClipBatch.crop_B4`."""
        height, width = frames[0].shape[:2]
        left, top, crop = crop_window(clip.crop, width, height)
        for frame, target in zip(frames, video_TSSC.numpy(), strict=True):
            target[:] = frame[top : top + self.size, left : left + self.size]
        return torch.tensor(crop)

    def _with_texts(self, batch: ClipBatch, roots: Sequence[RootTask]) -> ClipBatch:
        """Return the batch with the tokens of every term, and which of them are present."""
        decoded_B = batch.weight_B > 0
        clips = [(root.seed, clip) for root in roots for clip in root.clips]
        texts = {term: [clip.texts[term] or "" for _, clip in clips] for term in self.terms}
        present = {term: torch.tensor([bool(text) for text in rows]) & decoded_B for term, rows in texts.items()}
        too_long: dict[str, torch.Tensor] = {}
        if (long_texts := self.long_texts) is not None:
            for term, rows in texts.items():
                whole = [long_texts.fits(text) for text in rows]
                too_long[term] = ~torch.tensor(whole, dtype=torch.bool)
                texts[term] = [
                    text if fits else long_texts.shortened(text, seed, clip.key, term)
                    for text, fits, (seed, clip) in zip(rows, whole, clips, strict=True)
                ]
        tokens = {term: self.tokenizer(rows) for term, rows in texts.items()} if self.tokenizer else {}
        text_id = {term: text_numbers(tokens_BL) for term, tokens_BL in tokens.items()}
        return replace(batch, tokens=tokens, present=present, text_id=text_id, too_long=too_long)
