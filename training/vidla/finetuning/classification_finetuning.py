"""Finetuning on a classification benchmark: videos with classes, a new head and cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from runtime.errors import UserError
from training.data.clip_loader import TrainBatches
from training.engine.parallel.distributed import Ranks
from training.engine.run_setup import PreparedRun
from training.evaluation.benchmarks.classification.classification_set import ClassificationSet
from training.evaluation.video.classification import ClassificationOptions, score_classification
from training.evaluation.video.frame_format import FrameFormat
from training.models.vidla.classification_head import VideoClassifier
from training.models.vidla.two_tower import VidLA
from training.vidla.finetuning.classification_task import ClassificationTask, LabelTokenizer
from training.vidla.finetuning.finetuning_request import FinetuningRequest, data_line, held_out_of_train
from training.vidla.finetuning.labelled_source import LabelledSource
from training.vidla.pretraining_run import header_lines


def prepare_classification(request: FinetuningRequest, model: VidLA, ranks: Ranks) -> PreparedRun:
    """Prepare a run on videos with classes.

    Raises:
        UserError: the benchmark's files are not as published, no video has a file, or a setting does not fit a head.
    """
    settings, name = request.settings, request.benchmark
    if settings.data.clips_per_root != 1:
        raise UserError(f"data.clips_per_root={settings.data.clips_per_root}: a head takes one clip of a video; set 1")
    if settings.data.frames_per_second is not None:
        raise UserError(
            f"data.frames_per_second={settings.data.frames_per_second:g}: the sampling of a benchmark with classes has "
            "one number of frames; leave it out, and set --frames"
        )
    sampling, frames = request.recipe.sampling, settings.model.frames
    videos, held_out = _divided(request)
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
    options = ClassificationOptions(
        sampling, frames, batch_size=settings.evaluation.batch_size, workers=settings.data.workers or 2
    )

    def evaluate(classifier: VideoClassifier) -> Mapping[str, float]:
        if held_out is None:
            return {}
        scores = score_classification(classifier, held_out, options, FrameFormat.of(model), ranks)
        means = {"top1": scores.top1, "top5": scores.top5, "mean_class": scores.mean_class}
        return means | {"videos": float(scores.videos)}

    facts = {"benchmark": name, "sampling": sampling, "frames": frames}
    task = ClassificationTask(model, videos.classes, settings.head, settings.compute, ranks, evaluate, facts)
    scored_on = "" if held_out is None else f"{held_out.name} {held_out.split}"
    header = header_lines(settings, task.header(), data_line(source.num_roots, videos, scored_on or None))
    return PreparedRun(settings, request.output, ranks, task, batches, header, scored_on)


def _divided(request: FinetuningRequest) -> tuple[ClassificationSet, ClassificationSet | None]:
    """Return the videos to train on, and those to choose the best checkpoint on; None: no scores are asked for."""
    videos, most = request.labelled_set("train"), request.settings.evaluation.max_clips
    if not most:
        return videos, None
    if (split := request.selection_split()) is not None:
        return videos, request.labelled_set(split).in_order_of(videos.classes).thinned(most)
    present = [item for item in videos.items if item.path is not None]
    chosen = held_out_of_train([item.id for item in present], most)
    held_out = tuple(present[number] for number in sorted(chosen))
    ids = {item.id for item in held_out}
    trained = replace(videos, items=tuple(item for item in videos.items if item.id not in ids))
    return trained, replace(videos, items=held_out, split=f"{videos.split} ({len(held_out)} of its videos, held out)")
