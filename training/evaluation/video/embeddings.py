"""Embed the videos and texts of a benchmark: decoded ahead in threads, batched, shared out over ranks.

A video that can't be decoded is not an error here: it gets no embedding, and the report states the reason.

Shapes: B clips or texts of a batch, T frames, S pixels of a side, N videos, M texts, D embedding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby, islice
from math import inf, isfinite
from pathlib import Path
from typing import Final

import numpy as np
import torch

from runtime.errors import MachineError, UserError, is_machine_fault
from runtime.progress_bar import Advance, progress_bar
from training.data.clip_failure import ClipFailed
from training.data.clip_tasks import MediaRef
from training.data.decoding.clip_decoder import decode_spans
from training.data.decoding.video_duration import video_seconds
from training.data.media_cache import MediaReader
from training.data.order.frame_buckets import FrameBuckets
from training.engine.parallel.distributed import Ranks, gather_objects
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet, VideoItem
from training.evaluation.video.frame_format import FrameFormat, Frames
from training.evaluation.video.models.video_text_model import VideoTextModel, mean_over_frames

Encoder = Callable[[torch.Tensor], torch.Tensor]
"""Function from normalised clips [B, T, C, S, S] to embeddings [B, D] of any length."""

_TEXTS_AT_ONCE: Final = 256
_AHEAD: Final = 2
"""Videos that each thread decodes ahead."""


@dataclass(frozen=True)
class EmbeddingOptions:
    """Frames and batches of the videos to embed."""

    frames: int
    """Frames per clip, evenly spaced over it."""
    batch_size: int = 16
    """Clips that go through the tower at once."""
    workers: int = 2
    """Threads that decode."""
    snap: bool = False
    """Use keyframes if every segment of a clip has one, as training on shards does: much cheaper to decode."""
    buckets: FrameBuckets | None = None
    """Frames by duration, as in training, instead of `frames`."""

    def frames_of(self, item: VideoItem) -> int:
        """Return the frames of one item; with `buckets`, a file without an annotated duration is opened for it."""
        if self.buckets is None:
            return self.frames
        seconds = inf if item.end is None else item.end - item.start
        known = seconds if isfinite(seconds) else _length(item)
        return self.buckets.frames_of(inf if known is None else known)


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of a benchmark's videos and texts; equal on all ranks."""

    video_ND: torch.Tensor
    """float32, on the CPU, unit length; zeros for a video without an embedding."""
    text_MD: torch.Tensor
    """float32, on the CPU, unit length."""
    absent: Mapping[int, str]
    """Reason by index of each video without an embedding (`missing`, `undecodable`, `truncated`, …)."""
    truncated: int
    """Number of texts that were cut to the model's context length."""

    @property
    def present_N(self) -> torch.Tensor:
        """Mask of the videos that have an embedding, bool."""
        present_N = torch.ones(len(self.video_ND), dtype=torch.bool)
        present_N[list(self.absent)] = False
        return present_N


def embed(
    model: VideoTextModel,
    benchmark: RetrievalSet,
    options: EmbeddingOptions,
    ranks: Ranks | None = None,
    encode: Encoder | None = None,
) -> Embeddings:
    """Embed all videos and texts of a benchmark; each rank takes its share.

    Args:
        model: the model, in evaluation mode, on the ranks' device.
        benchmark: videos and texts to embed.
        options: frames, batches, threads.
        ranks: ranks of this job; the call is collective.
        encode: encoder of the videos; None: the model's `encode_video`.

    Raises:
        UserError: an embedding is not finite, or the model can't take so many frames.
    """
    ranks = ranks or Ranks()
    video_ND, absent = embed_videos(model, benchmark.items, options, ranks, encode)
    text_MD = embed_texts(model, benchmark.texts, ranks)
    for name, rows in (("video", video_ND), ("text", text_MD)):
        if not bool(rows.isfinite().all()):
            raise UserError(f"{name} embeddings are not finite: these weights have diverged; use an earlier checkpoint")
    return Embeddings(video_ND, text_MD, absent, truncated_texts(model, benchmark.texts))


@torch.inference_mode()
def embed_videos(
    model: VideoTextModel,
    items: Sequence[VideoItem],
    options: EmbeddingOptions,
    ranks: Ranks,
    encode: Encoder | None = None,
    *,
    advance: Advance | None = None,
) -> tuple[torch.Tensor, dict[int, str]]:
    """Return embeddings [N, D] of videos, zeros for those that failed, and the reasons of these by index.

    Args:
        model: as for `embed`.
        items: videos to embed.
        options: as for `embed`.
        ranks: as for `embed`.
        encode: as for `embed`.
        advance: is told the progress; None: show it in a progress bar.
    """
    first, last = _share(len(items), ranks)
    rows_ND = torch.zeros(last - first, model.embed_dim)
    absent: dict[int, str] = {}
    frame_format = FrameFormat.of(model)
    shown = progress_bar("videos") if advance is None else nullcontext(advance)
    with ThreadPoolExecutor(options.workers) as pool, shown as tell:
        decoded = _decoded(pool, items[first:last], options, frame_format.size, absent, tell)
        for numbers, clips in _batched(decoded, options.batch_size):
            video_BTCHW = frame_format.to_input(clips, ranks.device)
            embedded_BD = encode(video_BTCHW) if encode else model.encode_video(video_BTCHW, normalize=False)
            rows_ND[numbers] = _unit(embedded_BD)
    gathered = gather_objects((rows_ND, {first + at: reason for at, reason in absent.items()}), ranks)
    reasons = {number: reason for _, part in gathered for number, reason in part.items()}
    return torch.cat([rows for rows, _ in gathered]), reasons


@torch.inference_mode()
def embed_texts(model: VideoTextModel, texts: Sequence[str], ranks: Ranks | None = None) -> torch.Tensor:
    """Return embeddings [M, D] of texts; equal texts are embedded once, so their embeddings are bitwise equal."""
    ranks = ranks or Ranks()
    distinct = list(dict.fromkeys(texts))
    number = {text: at for at, text in enumerate(distinct)}
    first, last = _share(len(distinct), ranks)
    parts = [torch.zeros(0, model.embed_dim)]
    for begin in range(first, last, _TEXTS_AT_ONCE):
        tokens_BL = model.tokenizer(distinct[begin : min(begin + _TEXTS_AT_ONCE, last)])
        parts.append(_unit(model.encode_text(tokens_BL.to(ranks.device), normalize=False)))
    distinct_UD = torch.cat(gather_objects(torch.cat(parts), ranks))
    return distinct_UD[torch.tensor([number[text] for text in texts], dtype=torch.int64)]


def truncated_texts(model: VideoTextModel, texts: Sequence[str]) -> int:
    """Return the number of texts that the tokenizer cuts to the model's context."""
    return sum(model.tokenizer.count(text) > model.tokenizer.context for text in texts)


def video_lengths(items: Sequence[VideoItem], workers: int) -> list[float | None]:
    """Return the seconds of each item: from the annotations, otherwise from its file, otherwise None."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(_length, items))


def frame_mean(model: VideoTextModel) -> Encoder:
    """Return an encoder that embeds each frame alone and averages the unit vectors: CLIP without a sense of time.

    With CLIP's weights and no [MST] this is CLIP4Clip's `meanP`, the customary zero-shot baseline.
    """

    def encode(video_BTCHW: torch.Tensor) -> torch.Tensor:
        return mean_over_frames(lambda images_NCHW: model.encode_video(images_NCHW[:, None]), video_BTCHW)

    return encode


def _unit(rows_BD: torch.Tensor) -> torch.Tensor:
    """Return unit vectors in float32 on the CPU, whatever precision the towers ran in."""
    return torch.nn.functional.normalize(rows_BD.float(), dim=-1).cpu()


def _share(count: int, ranks: Ranks) -> tuple[int, int]:
    """Return the first index and the end of this rank's part of `count` things."""
    return count * ranks.rank // ranks.world_size, count * (ranks.rank + 1) // ranks.world_size


def _decoded(
    pool: ThreadPoolExecutor,
    items: Sequence[VideoItem],
    options: EmbeddingOptions,
    size: int,
    absent: dict[int, str],
    advance: Advance,
) -> Iterator[tuple[int, Frames]]:
    """Yield each item's index and frames, in order, decoded ahead; add those that fail to `absent`."""
    todo = (list(group) for _, group in groupby(enumerate(items), key=lambda entry: entry[1].media))
    waiting: deque[tuple[list[int], Future[list[Frames | ClipFailed]]]] = deque()
    done = 0
    while True:
        for group in islice(todo, _AHEAD * options.workers - len(waiting)):
            task = pool.submit(_decode, [item for _, item in group], options, size)
            waiting.append(([number for number, _ in group], task))
        if not waiting:
            return
        numbers, task = waiting.popleft()
        for number, clip in zip(numbers, task.result(), strict=True):
            if isinstance(clip, ClipFailed):
                absent[number] = clip.reason
            else:
                yield number, clip
        done += len(numbers)
        advance(done, len(items))


def _decode(items: Sequence[VideoItem], options: EmbeddingOptions, size: int) -> list[Frames | ClipFailed]:
    """Decode the centre crops of all items of one media file, each uint8 [T, S, S, 3]."""
    media = items[0].media
    spans = [(item.start, inf if item.end is None else item.end) for item in items]
    try:
        if media is None:
            raise ClipFailed("missing", f"{items[0].id}: no such file")
        counts = [options.frames_of(item) for item in items]
        clips = decode_spans(_source(media), spans, counts, size=size, snap=options.snap)
    except ClipFailed as failed:
        return [failed] * len(items)
    return [clip if isinstance(clip, ClipFailed) else centre_crop(np.stack(clip), size) for clip in clips]


def _source(media: MediaRef) -> bytes | Path:
    """Return what a decoder opens: the bytes of a span, or the path of a local file."""
    if media.size is None:
        return Path(media.url)
    try:
        return MediaReader().read(media)
    except OSError as error:
        if is_machine_fault(error):
            raise MachineError(f"{media.url}: {error}") from None
        raise ClipFailed("unreadable", f"{media.url}: {error}") from None


def centre_crop(clip_THWC: Frames, size: int) -> Frames:
    """Crop frames whose short side is S to the S x S in the middle."""
    height, width = clip_THWC.shape[1:3]
    top, left = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(clip_THWC[:, top : top + size, left : left + size])


def _length(item: VideoItem) -> float | None:
    if item.duration is not None:
        return item.duration
    if item.media is None or item.media.size is not None:
        return None
    try:
        seconds = video_seconds(Path(item.media.url))
    except ClipFailed:
        return None
    return min(seconds, inf if item.end is None else item.end) - item.start


def _batched(clips: Iterator[tuple[int, Frames]], size: int) -> Iterator[tuple[list[int], list[Frames]]]:
    """Yield numbers and frames of `size` clips of one length at a time, and in the end what is left of each length."""
    held: dict[int, tuple[list[int], list[Frames]]] = {}
    for number, clip in clips:
        numbers, frames = held.setdefault(len(clip), ([], []))
        numbers.append(number)
        frames.append(clip)
        if len(frames) == size:
            yield held.pop(len(clip))
    yield from held.values()
