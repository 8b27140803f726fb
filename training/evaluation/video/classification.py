"""Classification of videos: zero-shot by prompt templates or with a finetuned head, several views averaged.

A classifier turns clips into logits; `score` decodes each video of a set into its views, averages the *softmax* of the
views (as SlowFast and those after it do, with a head and without), and counts what is right. A video that is missing or
can't be decoded is counted by reason and marks the score as incomplete; it is never left out in silence.

Shapes: B clips, T frames, S pixels of a side, C colours, D embedding, K classes, N videos, P templates.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from runtime.progress_bar import progress_bar
from training.data.clip_failure import ClipFailed
from training.data.clip_tasks import Crop
from training.data.decoding.clip_decoder import decode_clips
from training.data.decoding.model_input import to_model_input
from training.data.decoding.video_duration import video_seconds
from training.engine.distributed import Ranks, gather_objects
from training.evaluation.benchmarks.classification_set import ClassificationSet, LabelledVideo
from training.evaluation.video.class_prompts import fill
from training.evaluation.video.embeddings import Encoder
from training.evaluation.video.video_views import ONE_VIEW, Sampling, Views, crops, looks
from training.models.vidla.two_tower import VidLA

Classifier = Callable[[torch.Tensor], torch.Tensor]
"""Normalised clips [B, T, C, S, S] to logits [B, K]."""
Clip = NDArray[np.uint8]
"""Frames [T, S, S, 3] of one view."""

_TRIMMED = 1.1  # a file up to this many times as long as its annotated span is that span, cut out already


@dataclass(frozen=True)
class Looks:
    """How a video is shown to a classifier."""

    sampling: Sampling
    frames: int
    views: Views = ONE_VIEW
    batch_size: int = 16
    """Clips through the tower at once."""
    workers: int = 2
    """Threads that decode."""


@dataclass(frozen=True)
class Picture:
    """What the tower wants its frames to be."""

    size: int
    mean: Sequence[float]
    std: Sequence[float]

    @classmethod
    def of(cls, model: VidLA) -> Picture:
        """The frames of a model."""
        return cls(model.image_size, model.mean, model.std)


@dataclass(frozen=True)
class ClassificationScores:
    """Shares between 0 and 1, of the videos that could be scored."""

    top1: float
    top5: float
    mean_class: float
    """Top-1 of each class that has a video, averaged over classes."""
    videos: int
    """Videos scored."""
    failures: dict[str, int]
    """Videos that were not, by reason (`missing`, `undecodable`, …)."""

    @property
    def complete(self) -> bool:
        """Whether every video of the set was scored; only then is the score comparable."""
        return not self.failures

    @property
    def top1_at_least(self) -> float:
        """Top-1 with every failure counted as wrong."""
        total = self.videos + sum(self.failures.values())
        return self.top1 * self.videos / total if total else 0.0


@torch.inference_mode()
def class_embeddings(
    model: VidLA, classes: Sequence[str], templates: Sequence[str], batch_size: int = 256
) -> torch.Tensor:
    """One unit vector [K, D] a class: the mean of its sentences' unit vectors, normalised again (CLIP's practice)."""
    device = model.logit_scale.device
    sentences = [sentence for name in classes for sentence in fill(name, templates)]
    parts = [
        model.encode_text(model.tokenizer(sentences[begin : begin + batch_size]).to(device), normalize=False).float()
        for begin in range(0, len(sentences), batch_size)
    ]
    mean_KD = F.normalize(torch.cat(parts), dim=-1).unflatten(0, (len(classes), len(templates))).mean(dim=1)
    return F.normalize(mean_KD, dim=-1)


def zero_shot(
    model: VidLA, classes: Sequence[str], templates: Sequence[str], encode: Encoder | None = None
) -> Classifier:
    """A classifier that compares clips with sentences about the classes; logits are scaled as in training.

    Args:
        model: in evaluation mode.
        classes: their names.
        templates: sentences for each.
        encode: something else than the model's `encode_video`, such as `frame_mean`.
    """
    embeddings_KD = class_embeddings(model, classes, templates)

    def classify(video_BTCHW: torch.Tensor) -> torch.Tensor:
        found_BD = encode(video_BTCHW) if encode else model.encode_video(video_BTCHW, normalize=False)
        with torch.autocast(video_BTCHW.device.type, enabled=False):  # in bf16 near classes would tie
            return model.logit_scale.exp() * (F.normalize(found_BD.float(), dim=-1) @ embeddings_KD.T)

    return classify


@torch.inference_mode()
def score(
    classify: Classifier, videos: ClassificationSet, look: Looks, picture: Picture, ranks: Ranks | None = None
) -> ClassificationScores:
    """Show every video of a set to a classifier; each rank takes every W-th, all get the same scores."""
    ranks = ranks or Ranks()
    own = videos.items[ranks.rank :: ranks.world_size]
    sums_NK = torch.zeros(len(own), len(videos.classes))
    seen_N = torch.zeros(len(own))
    failures: Counter[str] = Counter()
    for numbers, clips in _batches(own, look, picture.size, failures):
        logits_BK = classify(_input(clips, picture, ranks.device))
        rows_B = torch.tensor(numbers)
        sums_NK.index_add_(0, rows_B, logits_BK.float().softmax(dim=1).cpu())
        seen_N.index_add_(0, rows_B, torch.ones(len(numbers)))
    scored_N = seen_N > 0
    finite_N = sums_NK.isfinite().all(dim=1)
    if broken := int((scored_N & ~finite_N).sum()):
        failures["not_finite"] += broken
    label_N = torch.tensor([item.label for item in own], dtype=torch.int64)
    kept_N = scored_N & finite_N
    gathered = gather_objects((hits(sums_NK[kept_N], label_N[kept_N]), label_N[kept_N], failures), ranks)
    hits_N2, labels_N = torch.cat([part[0] for part in gathered]), torch.cat([part[1] for part in gathered])
    return _summary(hits_N2, labels_N, sum((part[2] for part in gathered), Counter[str]()))


def hits(scores_NK: torch.Tensor, label_N: torch.Tensor) -> torch.Tensor:
    """Whether the class is the first, and among the first five: [N, 2], 0 to 1.

    Among classes of equal score the order is random, so a hit counts with its probability: a constant score earns what
    chance earns.
    """
    own_N1 = scores_NK.gather(1, label_N[:, None])
    better_N = (scores_NK > own_N1).sum(dim=1)
    equal_N = (scores_NK == own_N1).sum(dim=1)
    places = [((k - better_N) / equal_N).clamp(0, 1) for k in (1, 5)]
    return torch.stack(places, dim=1).double()


def span_of(item: LabelledVideo, seconds: float) -> tuple[float, float]:
    """Which part of a file of `seconds` is the labelled one.

    Raises:
        ClipFailed: the part lies behind the end of the file.
    """
    if item.start is None or item.end is None or seconds <= _TRIMMED * (item.end - item.start):
        return 0.0, seconds
    if item.start >= seconds:
        raise ClipFailed("out_of_range", f"{item.id}: begins at {item.start:g} s, the file has {seconds:g} s")
    return item.start, min(item.end, seconds)


def video_views(item: LabelledVideo, look: Looks, size: int) -> list[Clip]:
    """The views of a video, each uint8 [T, S, S, 3].

    Raises:
        ClipFailed: with the reason: the file is missing, can't be decoded, or lacks the labelled part.
    """
    if item.path is None:
        raise ClipFailed("missing", f"{item.id}: no file of that name")
    begin, end = span_of(item, video_seconds(item.path))
    spans, frames, dealt = looks(look.sampling, begin, end, look.frames, look.views.temporal)
    decoded = decode_clips(item.path, spans, frames, size=size, snap=False)
    views = [clip[first::dealt] for clip in decoded for first in range(dealt)]
    return [_square(view, crop, size) for view in views for crop in crops(look.views.spatial, *view.shape[2:0:-1])]


def _square(view: Clip, crop: Crop, size: int) -> Clip:
    """The S×S square of frames whose short side is S."""
    height, width = view.shape[1:3]
    top, left = round(crop.y * (height - size)), round(crop.x * (width - size))
    return view[:, top : top + size, left : left + size]


def _batches(
    items: Sequence[LabelledVideo], look: Looks, size: int, failures: Counter[str]
) -> Iterator[tuple[list[int], list[Clip]]]:
    """Clips with the number of their video, `batch_size` at a time; failures are counted on the way."""
    numbers: list[int] = []
    clips: list[Clip] = []
    for number, views in _decoded(items, look, size, failures):
        for view in views:
            numbers.append(number)
            clips.append(view)
            if len(clips) == look.batch_size:
                yield numbers, clips
                numbers, clips = [], []
    if clips:
        yield numbers, clips


def _decoded(
    items: Sequence[LabelledVideo], look: Looks, size: int, failures: Counter[str]
) -> Iterator[tuple[int, list[Clip]]]:
    """Views of each video in order, decoded ahead in threads (libav works without Python's lock)."""
    todo = iter(items)
    with ThreadPoolExecutor(look.workers) as pool, progress_bar("videos") as advance:
        waiting: deque[Future[Any]] = deque()
        for number in range(len(items)):
            ahead = 2 * look.workers - len(waiting)
            waiting.extend(pool.submit(video_views, item, look, size) for item in islice(todo, ahead))
            try:
                yield number, waiting.popleft().result()
            except ClipFailed as failed:
                failures[failed.reason] += 1
            advance(number + 1, len(items))


def _input(clips: Sequence[Clip], picture: Picture, device: torch.device) -> torch.Tensor:
    video_BTSSC = torch.from_numpy(np.stack(clips)).to(device)
    whole_B4 = torch.tensor([[0.0, 0.0, 1.0, 0.0]], device=device).expand(len(clips), -1)
    return to_model_input(video_BTSSC, whole_B4, picture.size, picture.mean, picture.std)


def _summary(hits_N2: torch.Tensor, label_N: torch.Tensor, failures: Counter[str]) -> ClassificationScores:
    if not len(label_N):
        return ClassificationScores(0.0, 0.0, 0.0, 0, dict(failures))
    top1, top5 = hits_N2.mean(dim=0).tolist()
    by_class = [float(hits_N2[label_N == label, 0].mean()) for label in label_N.unique()]
    return ClassificationScores(top1, top5, sum(by_class) / len(by_class), len(label_N), dict(failures))
