"""Classification of videos: zero-shot with prompt templates or with a finetuned head, averaged over several views.

A classifier turns clips into logits. `score_classification` decodes each video of a set into its views, averages the
*softmax* of the views (as SlowFast and its successors do, with a head and without), and counts correct predictions. A
video that is missing or can't be decoded is counted by reason and marks the score as incomplete; it is never left out
silently.

Shapes: B clips, T frames, S pixels of a side, C colours, D embedding, K classes, N videos, P templates.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final

import torch
from torch.nn import functional as F

from runtime.progress_bar import progress_bar
from training.data.clip_failure import ClipFailed
from training.data.clip_tasks import Crop
from training.data.decoding.clip_decoder import decode_clips
from training.data.decoding.video_duration import video_seconds
from training.engine.parallel.distributed import Ranks, gather_objects
from training.evaluation.benchmarks.classification.classification_set import ClassificationSet, LabelledVideo
from training.evaluation.video.class_prompts import fill
from training.evaluation.video.embeddings import Encoder
from training.evaluation.video.frame_format import FrameFormat, Frames
from training.evaluation.video.models.video_text_model import VideoTextModel
from training.evaluation.video.video_views import ONE_VIEW, Sampling, Views, crops, plan_views

Classifier = Callable[[torch.Tensor], torch.Tensor]
"""Function from normalised clips [B, T, C, S, S] to logits [B, K]."""

_TRIMMED: Final = 1.1
"""A file up to this many times as long as its annotated span is taken to be that span, already cut out."""


@dataclass(frozen=True)
class ClassificationOptions:
    """Sampling, views and batches of the videos that a classifier sees."""

    sampling: Sampling
    frames: int
    """Frames of each view."""
    views: Views = ONE_VIEW
    batch_size: int = 16
    """Clips that go through the tower at once."""
    workers: int = 2
    """Threads that decode."""


@dataclass(frozen=True)
class ClassificationScores:
    """Accuracies between 0 and 1, over the videos that could be scored."""

    top1: float
    top5: float
    mean_class: float
    """Top-1 of each class that has a video, averaged over classes."""
    videos: int
    """Number of videos scored."""
    failures: dict[str, int]
    """Number of videos that could not be scored, by reason (`missing`, `undecodable`, …)."""

    @property
    def complete(self) -> bool:
        """True if every video of the set was scored; only then is the score comparable."""
        return not self.failures

    @property
    def top1_at_least(self) -> float:
        """Top-1 with every failure counted as wrong."""
        total = self.videos + sum(self.failures.values())
        return self.top1 * self.videos / total if total else 0.0


@torch.inference_mode()
def class_embeddings(
    model: VideoTextModel, classes: Sequence[str], templates: Sequence[str], batch_size: int = 256
) -> torch.Tensor:
    """Return a unit vector for each class [K, D]: the normalised mean of its sentences' unit vectors (as CLIP does)."""
    device = model.logit_scale.device
    sentences = [sentence for name in classes for sentence in fill(name, templates)]
    parts = [
        model.encode_text(model.tokenizer(sentences[begin : begin + batch_size]).to(device), normalize=False).float()
        for begin in range(0, len(sentences), batch_size)
    ]
    mean_KD = F.normalize(torch.cat(parts), dim=-1).unflatten(0, (len(classes), len(templates))).mean(dim=1)
    return F.normalize(mean_KD, dim=-1)


def zero_shot(
    model: VideoTextModel, classes: Sequence[str], templates: Sequence[str], encode: Encoder | None = None
) -> Classifier:
    """Return a classifier that compares clips with sentences about the classes; logits are scaled as in training.

    Args:
        model: the model, in evaluation mode.
        classes: names of the classes.
        templates: templates of the sentences for each class.
        encode: encoder of the clips, such as `frame_mean`; None: the model's `encode_video`.
    """
    embeddings_KD = class_embeddings(model, classes, templates)

    def classify(video_BTCHW: torch.Tensor) -> torch.Tensor:
        video_BD = encode(video_BTCHW) if encode else model.encode_video(video_BTCHW, normalize=False)
        with torch.autocast(video_BTCHW.device.type, enabled=False):  # in bf16 similar classes would tie
            return model.logit_scale.exp() * (F.normalize(video_BD.float(), dim=-1) @ embeddings_KD.T)

    return classify


@torch.inference_mode()
def score_classification(
    classify: Classifier,
    videos: ClassificationSet,
    options: ClassificationOptions,
    frame_format: FrameFormat,
    ranks: Ranks | None = None,
) -> ClassificationScores:
    """Score a classifier on every video of a set; each rank takes every W-th video, all get the same scores."""
    ranks = ranks or Ranks()
    own = videos.items[ranks.rank :: ranks.world_size]
    sums_NK = torch.zeros(len(own), len(videos.classes))
    seen_N = torch.zeros(len(own))
    failures: Counter[str] = Counter()
    for numbers, clips in _batches(own, options, frame_format.size, failures):
        logits_BK = classify(frame_format.to_input(clips, ranks.device))
        rows_B = torch.tensor(numbers)
        sums_NK.index_add_(0, rows_B, logits_BK.float().softmax(dim=1).cpu())
        seen_N.index_add_(0, rows_B, torch.ones(len(numbers)))
    scored_N = seen_N > 0
    finite_N = sums_NK.isfinite().all(dim=1)
    if broken := int((scored_N & ~finite_N).sum()):
        failures["not_finite"] += broken
    label_N = torch.tensor([item.label for item in own], dtype=torch.int64)
    kept_N = scored_N & finite_N
    gathered = gather_objects((hit_probabilities(sums_NK[kept_N], label_N[kept_N]), label_N[kept_N], failures), ranks)
    hits_N2, labels_N = torch.cat([part[0] for part in gathered]), torch.cat([part[1] for part in gathered])
    return _summary(hits_N2, labels_N, sum((part[2] for part in gathered), Counter[str]()))


def hit_probabilities(scores_NK: torch.Tensor, label_N: torch.Tensor) -> torch.Tensor:
    """Return the probabilities that the right class is first, and among the first five: [N, 2], 0 to 1.

    Classes of equal score are in random order, so a constant score earns what chance earns.
    """
    own_N1 = scores_NK.gather(1, label_N[:, None])
    better_N = (scores_NK > own_N1).sum(dim=1)
    equal_N = (scores_NK == own_N1).sum(dim=1)
    hits = [((k - better_N) / equal_N).clamp(0, 1) for k in (1, 5)]
    return torch.stack(hits, dim=1).double()


def labelled_span(item: LabelledVideo, seconds: float) -> tuple[float, float]:
    """Return begin and end of the labelled part of a file that is `seconds` long.

    Raises:
        ClipFailed: the labelled part begins after the end of the file.
    """
    if item.start is None or item.end is None or seconds <= _TRIMMED * (item.end - item.start):
        return 0.0, seconds
    if item.start >= seconds:
        raise ClipFailed("out_of_range", f"{item.id}: begins at {item.start:g} s, the file has {seconds:g} s")
    return item.start, min(item.end, seconds)


def decode_views(item: LabelledVideo, options: ClassificationOptions, size: int) -> list[Frames]:
    """Decode the views of a video, each uint8 [T, S, S, 3].

    Raises:
        ClipFailed: with the reason: the file is missing, can't be decoded, or lacks the labelled part.
    """
    if item.path is None:
        raise ClipFailed("missing", f"{item.id}: no file of that name")
    begin, end = labelled_span(item, video_seconds(item.path))
    plan = plan_views(options.sampling, begin, end, options.frames, options.views.temporal)
    decoded = decode_clips(item.path, plan.spans, plan.frames, size=size, snap=False)
    views = [clip[first :: plan.interleaved] for clip in decoded for first in range(plan.interleaved)]
    return [_cropped(view, crop, size) for view in views for crop in crops(options.views.spatial, *view.shape[2:0:-1])]


def _cropped(view: Frames, crop: Crop, size: int) -> Frames:
    """Crop frames whose short side is S to S x S."""
    height, width = view.shape[1:3]
    top, left = round(crop.y * (height - size)), round(crop.x * (width - size))
    return view[:, top : top + size, left : left + size]


def _batches(
    items: Sequence[LabelledVideo], options: ClassificationOptions, size: int, failures: Counter[str]
) -> Iterator[tuple[list[int], list[Frames]]]:
    """Yield `batch_size` clips at a time with the index of their video; add what fails to `failures`."""
    numbers: list[int] = []
    clips: list[Frames] = []
    for number, views in _decoded(items, options, size, failures):
        for view in views:
            numbers.append(number)
            clips.append(view)
            if len(clips) == options.batch_size:
                yield numbers, clips
                numbers, clips = [], []
    if clips:
        yield numbers, clips


def _decoded(
    items: Sequence[LabelledVideo], options: ClassificationOptions, size: int, failures: Counter[str]
) -> Iterator[tuple[int, list[Frames]]]:
    """Yield the views of each video in order, decoded ahead in threads (libav releases Python's lock)."""
    todo = iter(items)
    with ThreadPoolExecutor(options.workers) as pool, progress_bar("videos") as advance:
        waiting: deque[Future[list[Frames]]] = deque()
        for number in range(len(items)):
            ahead = 2 * options.workers - len(waiting)
            waiting.extend(pool.submit(decode_views, item, options, size) for item in islice(todo, ahead))
            try:
                yield number, waiting.popleft().result()
            except ClipFailed as failed:
                failures[failed.reason] += 1
            advance(number + 1, len(items))


def _summary(hits_N2: torch.Tensor, label_N: torch.Tensor, failures: Counter[str]) -> ClassificationScores:
    if not len(label_N):
        return ClassificationScores(0.0, 0.0, 0.0, 0, dict(failures))
    top1, top5 = hits_N2.mean(dim=0).tolist()
    by_class = [float(hits_N2[label_N == label, 0].mean()) for label in label_N.unique()]
    return ClassificationScores(top1, top5, sum(by_class) / len(by_class), len(label_N), dict(failures))
