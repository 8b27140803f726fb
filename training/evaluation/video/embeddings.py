"""From a benchmark's videos and texts to embeddings: decoded ahead in threads, batched, shared out over ranks.

What can't be decoded is no error here: it is left without an embedding, with the reason, and the report says so.

Shapes: B clips or texts of a batch, T frames, S pixels of a side, N videos, M texts, D embedding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.errors import MachineError, UserError, is_machine_fault
from runtime.progress_bar import Advance, progress_bar
from training.data.clip_failure import ClipFailed
from training.data.clip_tasks import MediaRef
from training.data.decoding.clip_decoder import decode_spans
from training.data.decoding.model_input import to_model_input
from training.data.decoding.video_duration import video_seconds
from training.data.media_cache import MediaReader
from training.engine.distributed import Ranks, gather_objects
from training.evaluation.benchmarks.retrieval_set import RetrievalSet, VideoItem
from training.evaluation.video.retrieval_scores import retrieval_scores
from training.models.vidla.two_tower import Tokenizer, VidLA

Encoder = Callable[[torch.Tensor], torch.Tensor]
"""Normalised clips [B, T, C, S, S] to embeddings [B, D] of any length."""

_Clip = NDArray[np.uint8]
_TEXTS_AT_ONCE = 256
_AHEAD = 2  # videos decoded ahead, for each thread


@dataclass(frozen=True)
class Looks:
    """How videos are shown to the model."""

    frames: int
    """Frames a clip, evenly spaced over it."""
    batch_size: int = 16
    """Clips through the tower at once."""
    workers: int = 2
    """Threads that decode."""
    snap: bool = False
    """Take keyframes where every segment of a clip holds one: as training on shards does, and cheaper by far there."""


@dataclass(frozen=True)
class Embedded:
    """A benchmark as the model sees it; equal on all ranks."""

    video_ND: torch.Tensor
    """float32, on the CPU, of unit length; zeros for a video that has none."""
    text_MD: torch.Tensor
    """float32, on the CPU, of unit length."""
    absent: Mapping[int, str]
    """Number of each video without an embedding, with the reason (`missing`, `undecodable`, `truncated`, …)."""
    truncated: int
    """Texts longer than the model's context, which it saw cut."""

    @property
    def present_N(self) -> torch.Tensor:
        """Which videos have an embedding, bool."""
        present_N = torch.ones(len(self.video_ND), dtype=torch.bool)
        present_N[list(self.absent)] = False
        return present_N


def embed(
    model: VidLA, benchmark: RetrievalSet, looks: Looks, ranks: Ranks | None = None, encode: Encoder | None = None
) -> Embedded:
    """Embed all videos and texts of a benchmark; each rank takes its share.

    Args:
        model: in evaluation mode, on the ranks' device.
        benchmark: what to embed.
        looks: frames, batches, threads.
        ranks: who takes part; collective.
        encode: something else than the model's `encode_video`.

    Raises:
        UserError: an embedding is not finite, or the model can't take so many frames.
    """
    ranks = ranks or Ranks()
    video_ND, absent = embed_videos(model, benchmark.items, looks, ranks, encode)
    text_MD = embed_texts(model, benchmark.texts, ranks)
    for name, rows in (("video", video_ND), ("text", text_MD)):
        if not bool(rows.isfinite().all()):
            raise UserError(
                f"{name} embeddings are not finite: these weights have diverged; take an earlier checkpoint"
            )
    return Embedded(video_ND, text_MD, absent, truncated_texts(model, benchmark.texts))


@torch.inference_mode()
def embed_videos(
    model: VidLA, items: Sequence[VideoItem], looks: Looks, ranks: Ranks, encode: Encoder | None = None
) -> tuple[torch.Tensor, dict[int, str]]:
    """Embeddings [N, D] of videos, zeros where there is none, and the reasons by number."""
    first, last = _share(len(items), ranks)
    rows_ND = torch.zeros(last - first, model.embed_dim)
    absent: dict[int, str] = {}
    with ThreadPoolExecutor(looks.workers) as pool, progress_bar("videos") as advance:
        found = _decoded(pool, items[first:last], looks, model.image_size, absent, advance)
        for numbers, clips in _batched(found, looks.batch_size):
            video_BTCHW = _model_input(model, clips, ranks.device)
            embedded_BD = encode(video_BTCHW) if encode else model.encode_video(video_BTCHW, normalize=False)
            rows_ND[numbers] = _unit(embedded_BD)
    gathered = gather_objects((rows_ND, {first + at: reason for at, reason in absent.items()}), ranks)
    reasons = {number: reason for _, part in gathered for number, reason in part.items()}
    return torch.cat([rows for rows, _ in gathered]), reasons


@torch.inference_mode()
def embed_texts(model: VidLA, texts: Sequence[str], ranks: Ranks | None = None) -> torch.Tensor:
    """Embeddings [M, D] of texts; equal texts are embedded once, so that theirs are equal to the last bit."""
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


def truncated_texts(model: VidLA, texts: Sequence[str]) -> int:
    """How many texts are longer than the model's context, found with a tokenizer of four times its length."""
    context = model.tokenizer([""]).shape[1]
    wide = Tokenizer({**model.tokenizer.text_cfg, "context_length": 4 * context})
    padding = wide([""])[0, -1]
    parts = (wide(texts[begin : begin + _TEXTS_AT_ONCE]) for begin in range(0, len(texts), _TEXTS_AT_ONCE))
    return sum(int((tokens_BL[:, context:] != padding).any(dim=1).sum()) for tokens_BL in parts)


def video_lengths(items: Sequence[VideoItem], workers: int) -> list[float | None]:
    """Seconds of each item: as annotated, else as its file says; None where neither does."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(_length, items))


def frame_mean(model: VidLA) -> Encoder:
    """An encoder that sees each frame by itself and averages their unit vectors: CLIP without any sense of time.

    With no [MST] and weights of CLIP this is CLIP4Clip's `meanP`, the customary zero-shot baseline.
    """

    def encode(video_BTCHW: torch.Tensor) -> torch.Tensor:
        clips, frames = video_BTCHW.shape[:2]
        each_FD = model.encode_video(video_BTCHW.flatten(0, 1)[:, None]).float()
        return each_FD.unflatten(0, (clips, frames)).mean(dim=1)

    return encode


def score_split(model: VidLA, held_out: RetrievalSet, looks: Looks, ranks: Ranks | None = None) -> dict[str, float]:
    """Retrieval on a held-out split while training: `retrieval_scores` of its clips, both sides of what fails left out.

    Args:
        model: in evaluation mode, within the autocast wanted.
        held_out: its clips and texts.
        looks: as in training.
        ranks: who takes part; collective, and all get the same scores.

    Returns:
        As `retrieval_scores`, with `clips` scored and `clips_failed`; `{}` where not one clip could be decoded.
    """
    found = embed(model, held_out, looks, ranks)
    present_N = found.present_N
    renumbered_N = present_N.cumsum(0) - 1
    owner_M = torch.tensor(held_out.owner)
    asked_M = present_N[owner_M]
    if not bool(asked_M.any()):
        return {}
    scores = retrieval_scores(found.video_ND[present_N], found.text_MD[asked_M], renumbered_N[owner_M[asked_M]])
    return scores | {"clips": float(present_N.sum()), "clips_failed": float(len(found.absent))}


def _unit(rows_BD: torch.Tensor) -> torch.Tensor:
    """Unit vectors in float32 on the CPU, whatever the towers ran in."""
    return torch.nn.functional.normalize(rows_BD.float(), dim=-1).cpu()


def _share(count: int, ranks: Ranks) -> tuple[int, int]:
    """This rank's part of `count` things: from, up to."""
    return count * ranks.rank // ranks.world_size, count * (ranks.rank + 1) // ranks.world_size


def _decoded(
    pool: ThreadPoolExecutor,
    items: Sequence[VideoItem],
    looks: Looks,
    size: int,
    absent: dict[int, str],
    advance: Advance,
) -> Iterator[tuple[int, _Clip]]:
    """Each item's number and frames, in order, decoded ahead; those that fail go into `absent`."""
    todo = (list(group) for _, group in groupby(enumerate(items), key=lambda entry: entry[1].media))
    waiting: deque[tuple[list[int], Future[Any]]] = deque()
    done = 0
    while True:
        for group in islice(todo, _AHEAD * looks.workers - len(waiting)):
            task = pool.submit(_decode, [item for _, item in group], looks, size)
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


def _decode(items: Sequence[VideoItem], looks: Looks, size: int) -> list[_Clip | ClipFailed]:
    """The centre squares of all items of one media file, each uint8 [T, S, S, 3]."""
    media = items[0].media
    spans = [(item.start, inf if item.end is None else item.end) for item in items]
    try:
        if media is None:
            raise ClipFailed("missing", f"{items[0].id}: no such file")
        found = decode_spans(_source(media), spans, looks.frames, size=size, snap=looks.snap)
    except ClipFailed as failed:
        return [failed] * len(items)
    return [clip if isinstance(clip, ClipFailed) else _square(np.stack(clip), size) for clip in found]


def _source(media: MediaRef) -> bytes | Path:
    """What a decoder opens: the bytes of a span, or a local file's path."""
    if media.size is None:
        return Path(media.url)
    try:
        return MediaReader().read(media)
    except OSError as error:
        if is_machine_fault(error):
            raise MachineError(f"{media.url}: {error}") from None
        raise ClipFailed("unreadable", f"{media.url}: {error}") from None


def _square(clip_THWC: _Clip, size: int) -> _Clip:
    """The middle S×S of frames whose short side is S."""
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


def _batched(found: Iterator[tuple[int, _Clip]], size: int) -> Iterator[tuple[list[int], list[_Clip]]]:
    while batch := list(islice(found, size)):
        yield [number for number, _ in batch], [clip for _, clip in batch]


def _model_input(model: VidLA, clips: Sequence[_Clip], device: torch.device) -> torch.Tensor:
    video_BTSSC = torch.from_numpy(np.stack(clips)).to(device)
    whole_B4 = torch.tensor([[0.0, 0.0, 1.0, 0.0]], device=device).expand(len(clips), -1)
    return to_model_input(video_BTSSC, whole_B4, model.image_size, model.mean, model.std)
