"""A run of ``train-vidla finetune``: a benchmark's videos with texts, or with classes, instead of shards.

Settings: `training.vidla.finetuning_recipes`. The loop and all that it needs are those of pretraining
(`training.vidla.pretraining_run`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import UserError
from runtime.log import get_logger
from training.data.clip_loader import TrainBatches
from training.data.clip_source import ClipSource
from training.data.sources.file_source import FileItem, FileSource
from training.engine.distributed import Ranks
from training.engine.run_setup import PreparedRun, prepare_ranks, run_loop
from training.evaluation.benchmarks.classification_registry import read_labelled
from training.evaluation.benchmarks.classification_set import ClassificationSet
from training.evaluation.benchmarks.retrieval_registry import read_retrieval, retrieval_splits
from training.evaluation.benchmarks.retrieval_set import RetrievalSet
from training.evaluation.video import embeddings
from training.evaluation.video.classification import Looks, Picture, score
from training.evaluation.video.held_out import HeldOut
from training.models.vidla.classification_head import VideoClassifier
from training.models.vidla.initial_weights import build_model
from training.models.vidla.two_tower import VidLA
from training.vidla.classification_task import ClassificationTask, LabelTokenizer
from training.vidla.contrastive_task import VidlaTask
from training.vidla.finetuning_recipes import recipe_of
from training.vidla.labelled_source import LabelledSource
from training.vidla.pretraining_run import header_lines, open_batches
from training.vidla.vidla_settings import VidlaSettings

_log = get_logger(__name__)


@dataclass(frozen=True)
class FinetuningRequest:
    """A benchmark to finetune on, and the settings for it."""

    settings: VidlaSettings
    """All settings, the benchmark's recipe among them."""
    benchmark: str
    annotations: Path
    """The benchmark's own files."""
    videos: Path
    """Folder of the video files."""
    output: Path
    """Folder of the run."""

    def read_retrieval(self, split: str) -> RetrievalSet:
        """Read the videos and texts of a split."""
        return read_retrieval(self.benchmark, self.annotations, self.videos, split)

    def read_labelled(self, split: str) -> ClassificationSet:
        """Read the videos and classes of a split."""
        return read_labelled(self.benchmark, self.annotations, self.videos, split)


def run_finetuning(request: FinetuningRequest, resume: str) -> int:
    """Finetune as `request` says; return the exit status.

    Args:
        request: benchmark and settings.
        resume: see `training.engine.training_loop.train`.

    Raises:
        UserError: a setting does not fit the benchmark or the model; before the first step.
        NonFiniteLoss: a loss is infinite or not a number.
    """
    ranks = prepare_ranks(request.settings, request.output)
    model = build_model(request.settings.model)
    kind = recipe_of(request.benchmark).kind
    prepare = _prepare_retrieval if kind == "retrieval" else _prepare_classification
    return run_loop(prepare(request, model, ranks), resume)


def training_items(pairs: RetrievalSet) -> list[FileItem]:
    """Return the videos of a split with their captions; those without a file are left out, with a warning.

    Raises:
        UserError: no video of the split has a file.
    """
    texts: list[list[str]] = [[] for _ in pairs.items]
    for text, owner in zip(pairs.texts, pairs.owner, strict=True):
        texts[owner].append(text)
    items = [
        FileItem(Path(item.media.url), item.id, own, item.start, item.end)
        for item, own in zip(pairs.items, texts, strict=True)
        if item.media is not None
    ]
    if not items:
        raise UserError(f"--videos: holds none of the {len(pairs.items)} videos of {pairs.name} {pairs.split}")
    if missing := len(pairs.missing):
        _log.warning("%s %s: %d of %d videos missing", pairs.name, pairs.split, missing, len(pairs.items))
    return items


def _prepare_retrieval(request: FinetuningRequest, model: VidLA, ranks: Ranks) -> PreparedRun:
    """Prepare a run on videos with captions: the loss of pretraining with one term."""
    settings, name = request.settings, request.benchmark
    pairs = request.read_retrieval("train")
    source = FileSource(
        training_items(pairs),
        tuple(settings.loss.terms),
        settings.loop.seed,
        augment=settings.data.augment,
        clips_per_root=settings.data.clips_per_root,
    )
    batches = open_batches(settings, source, model, ranks)
    splits = retrieval_splits(name)
    held_out, split = None, "val" if "val" in splits else splits[0]
    if settings.evaluation.max_clips:
        scored = request.read_retrieval(split).first(settings.evaluation.max_clips)
        looks = embeddings.Looks(settings.model.frames, settings.evaluation.batch_size, settings.data.workers or 2)
        held_out = HeldOut(scored, looks, ranks)
    task = VidlaTask(model, settings.loss, settings.compute, ranks, held_out.score if held_out else None)
    data = _data_line(source, pairs, split if held_out else None)
    return PreparedRun(settings, request.output, ranks, task, batches, header_lines(settings, task.header(), data))


def _prepare_classification(request: FinetuningRequest, model: VidLA, ranks: Ranks) -> PreparedRun:
    """Prepare a run on videos with classes: a head and cross-entropy."""
    settings, name = request.settings, request.benchmark
    if settings.data.clips_per_root != 1:
        raise UserError(f"data.clips_per_root={settings.data.clips_per_root}: a head takes one clip of a video; set 1")
    sampling, frames = recipe_of(name).sampling, settings.model.frames
    videos = request.read_labelled("train")
    source = LabelledSource(videos, sampling, frames, settings.data.augment, settings.loop.seed)
    batches = TrainBatches(
        source,
        global_batch=settings.loop.batch_size,
        clips_per_root=1,
        ranks=ranks,
        tokenizer=LabelTokenizer(videos.classes),
        frames=frames,
        settings=settings.data,
        pin=ranks.device.type == "cuda",
    )
    held_out = _held_out_classes(request, videos)
    look = Looks(sampling, frames, batch_size=settings.evaluation.batch_size, workers=settings.data.workers or 2)

    def evaluate(classifier: VideoClassifier) -> Mapping[str, float]:
        if held_out is None:
            return {}
        scores = score(classifier, held_out, look, Picture.of(model), ranks)
        means = {"top1": scores.top1, "top5": scores.top5, "mean_class": scores.mean_class}
        return means | {"videos": float(scores.videos)}

    facts = {"benchmark": name, "sampling": sampling, "frames": frames}
    task = ClassificationTask(model, videos.classes, settings.head, settings.compute, ranks, evaluate, facts)
    data = _data_line(source, videos, "val" if held_out else None)
    return PreparedRun(settings, request.output, ranks, task, batches, header_lines(settings, task.header(), data))


def _held_out_classes(request: FinetuningRequest, trained: ClassificationSet) -> ClassificationSet | None:
    """Return the validation split, thinned out evenly to `evaluation.max_clips`; None if that is 0."""
    limit = request.settings.evaluation.max_clips
    return request.read_labelled("val").in_order_of(trained.classes).thinned(limit) if limit else None


def _data_line(source: ClipSource, trained: RetrievalSet | ClassificationSet, split: str | None) -> str:
    scored = f"scored on {trained.name} {split}" if split else "no scores while training"
    return f"{source.num_roots} videos of {trained.name} {trained.split}; {scored}"
