"""Puts a run of ``train-vidla finetune`` together: a benchmark's videos and texts, or classes, in the place of shards.

`training.vidla.finetuning_recipes` has the settings; the loop and all it needs are those of pretraining (`training.vidla.pretraining_run`).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.errors import UserError
from runtime.log import get_logger
from training.command_line import asked_for
from training.data.clip_loader import TrainBatches
from training.data.clip_source import ClipSource
from training.data.sources.file_source import FileItem, FileSource
from training.engine.distributed import Ranks
from training.engine.run_setup import Start, begin, prepare
from training.evaluation.benchmarks.classification_registry import read_labelled
from training.evaluation.benchmarks.classification_set import ClassificationSet
from training.evaluation.benchmarks.retrieval_registry import read_retrieval, retrieval_splits
from training.evaluation.benchmarks.retrieval_set import RetrievalSet
from training.evaluation.video import embeddings
from training.evaluation.video.classification import Looks, Picture, score
from training.evaluation.video.held_out import HeldOut
from training.models.vidla.classification_head import VideoClassifier
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import VidLA
from training.vidla.classification_task import ClassificationTask, LabelTokenizer
from training.vidla.contrastive_task import VidlaTask
from training.vidla.finetuning_recipes import finetune_settings, patch_of, recipe_of
from training.vidla.labelled_source import LabelledSource
from training.vidla.pretraining_run import head, open_batches
from training.vidla.vidla_settings import VidlaSettings

_LENGTHS = ("steps", "epochs", "samples")

_log = get_logger(__name__)


def recipe(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The settings that a finetuning run starts from, before --config and flags.

    Args:
        arguments: `benchmark`; of `config`, `init`, `steps` and `assignments` what decides the recipe: the tower it is
            for, and a length of the user's own, which takes the place of the recipe's and bounds the warm-up.
    """
    asked = asked_for(arguments, {"model": {"init": arguments.init}, "loop": {"steps": arguments.steps}})
    model, loop = asked.get("model", {}), asked.get("loop", {})
    default = ModelSettings()
    patch = patch_of(model.get("init", default.init), model.get("architecture", default.architecture))
    settings = finetune_settings(arguments.benchmark, patch)
    if any(loop.get(name) is not None for name in _LENGTHS):
        settings["loop"] = {name: value for name, value in settings["loop"].items() if name not in _LENGTHS}
    if isinstance(steps := loop.get("steps"), int):
        warmup = min(settings["optim"].get("warmup", 0), max(steps, 0) // 10)
        settings["optim"] = {**settings["optim"], "warmup": warmup}
    return settings


def run_finetuning(settings: VidlaSettings, arguments: argparse.Namespace) -> int:
    """Finetune as `settings` say; the exit status.

    Args:
        settings: the whole tree, the benchmark's recipe in it.
        arguments: `benchmark`, `annotations`, `videos`, `output`, `resume`, `init`.

    Raises:
        UserError: anything that does not fit, before the first step.
        NonFiniteLoss: in the middle.
    """
    ranks = prepare(settings, arguments.output)
    model = build_model(settings.model)
    kind = recipe_of(arguments.benchmark).kind
    start = (_retrieval if kind == "retrieval" else _classification)(settings, arguments, model, ranks)
    return begin(start, arguments.resume)


def training_items(pairs: RetrievalSet) -> list[FileItem]:
    """The videos of a split with their captions; those without a file are left out, with a warning.

    Raises:
        UserError: no video was found.
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


def _retrieval(settings: VidlaSettings, arguments: argparse.Namespace, model: VidLA, ranks: Ranks) -> Start:
    """Videos with captions: the loss of pretraining with one term."""
    where = arguments.annotations, arguments.videos
    pairs = read_retrieval(arguments.benchmark, *where, "train")
    source = FileSource(
        training_items(pairs),
        tuple(settings.loss.terms),
        settings.loop.seed,
        augment=settings.data.augment,
        clips_per_root=settings.data.clips_per_root,
    )
    batches = open_batches(settings, source, model, ranks)
    splits = retrieval_splits(arguments.benchmark)
    held_out, split = None, "val" if "val" in splits else splits[0]
    if settings.evaluation.max_clips:
        scored = read_retrieval(arguments.benchmark, *where, split).first(settings.evaluation.max_clips)
        looks = embeddings.Looks(settings.model.frames, settings.evaluation.batch_size, settings.data.workers or 2)
        held_out = HeldOut(scored, looks, ranks)
    task = VidlaTask(model, settings.loss, settings.compute, ranks, held_out.score if held_out else None)
    data = _described(source, pairs, held_out and split)
    return Start(settings, arguments.output, ranks, task, batches, head(settings, task.header(), data))


def _classification(settings: VidlaSettings, arguments: argparse.Namespace, model: VidLA, ranks: Ranks) -> Start:
    """Videos with classes: a head and cross-entropy."""
    if settings.data.clips_per_root != 1:
        raise UserError(f"data.clips_per_root={settings.data.clips_per_root}: a head takes one clip of a video; set 1")
    name, sampling, frames = arguments.benchmark, recipe_of(arguments.benchmark).sampling, settings.model.frames
    videos = read_labelled(name, arguments.annotations, arguments.videos, "train")
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
    held_out = _held_out_classes(settings, arguments, videos)
    look = Looks(sampling, frames, batch_size=settings.evaluation.batch_size, workers=settings.data.workers or 2)

    def evaluate(classifier: VideoClassifier) -> Mapping[str, float]:
        if held_out is None:
            return {}
        found = score(classifier, held_out, look, Picture.of(model), ranks)
        return {"top1": found.top1, "top5": found.top5, "mean_class": found.mean_class, "videos": float(found.videos)}

    facts = {"benchmark": name, "sampling": sampling, "frames": frames}
    task = ClassificationTask(model, videos.classes, settings.head, settings.compute, ranks, evaluate, facts)
    data = _described(source, videos, held_out and "val")
    return Start(settings, arguments.output, ranks, task, batches, head(settings, task.header(), data))


def _held_out_classes(
    settings: VidlaSettings, arguments: argparse.Namespace, trained: ClassificationSet
) -> ClassificationSet | None:
    """The validation split, thinned out evenly to what is scored while training; None where nothing is."""
    if not settings.evaluation.max_clips:
        return None
    held_out = read_labelled(arguments.benchmark, arguments.annotations, arguments.videos, "val")
    return held_out.in_order_of(trained.classes).thinned(settings.evaluation.max_clips)


def _described(source: ClipSource, trained: RetrievalSet | ClassificationSet, split: object) -> str:
    scored = f"scored on {trained.name} {split}" if split else "no scores while training"
    return f"{source.num_roots} videos of {trained.name} {trained.split}; {scored}"
