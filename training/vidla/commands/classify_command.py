"""`eval-vidla classify`: score a model on a benchmark, and show its accuracy beside the paper's.

Without `--head`, clips are compared with sentences about each class (zero-shot: 32 frames over the whole video, one
view, as in the paper); with it, a finetuned head classifies them (16 frames; 5x3 dense views for Kinetics, 2x3 uniform
ones for SSv2). Nothing heavy is imported before `run`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from training.evaluation.benchmarks.classification.classification_registry import (
    CLASSIFICATION_BENCHMARKS,
    read_labelled,
)

if TYPE_CHECKING:
    from training.engine.parallel.distributed import Ranks
    from training.evaluation.benchmarks.classification.classification_set import ClassificationSet
    from training.evaluation.published_scores import Protocol
    from training.evaluation.video.classification import ClassificationOptions, ClassificationScores, Classifier
    from training.evaluation.video.classification_report import ClassificationReport
    from training.evaluation.video.models.video_text_model import VideoTextModel

ZERO_SHOT_FRAMES: Final = 32
HEAD_FRAMES: Final = 16

EXAMPLES: Final = """\
examples:
  eval-vidla classify --checkpoint run/best --benchmark kinetics400 --annotations anno/k400 --videos k400/val
      zero-shot, with the 28 sentences CLIP has for Kinetics
  eval-vidla classify --checkpoint openai --frame-mean --benchmark kinetics400 --annotations anno/k400 --videos k400/val
      CLIP itself, on single frames: the zero-shot baseline
  eval-vidla classify --checkpoint ft/best --head ft/best --benchmark ssv2 --annotations anno/ssv2 --videos ssv2/
      a finetuned head, in 2x3 views
  eval-vidla classify --checkpoint run/best --benchmark folder --videos videos/
      any videos: one sub-folder a class
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `eval-vidla classify`."""
    parser.add_argument("--benchmark", required=True, choices=[*CLASSIFICATION_BENCHMARKS])
    parser.add_argument("--videos", required=True, type=Path, metavar="DIR", help="video files, named by their ids")
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="PATH",
        help="the benchmark's own files: val.csv for Kinetics, labels.json and validation.json for ssv2, classInd.txt "
        "and testlist01.txt for ucf101; not used for folder, where each sub-folder of --videos is a class",
    )
    parser.add_argument("--split", help="default: the one of the published scores (val; test for ucf101 and hmdb51)")
    parser.add_argument("--head", type=Path, metavar="FOLDER", help="finetuned head (default: zero-shot)")
    parser.add_argument(
        "--frame-mean", action="store_true", help="embed single frames and average them: CLIP without a sense of time"
    )
    parser.add_argument("--views", metavar="SxC", help="spans x crops (default: 1x1; with a head the paper's)")
    parser.add_argument("--frames", type=int, metavar="T", help="frames a clip (default: 32 zero-shot, 16 with a head)")
    parser.add_argument(
        "--sampling",
        choices=("dense", "uniform"),
        help="a short window of dense frames, or frames over the whole video (default: uniform; with a head "
        "as it was trained)",
    )
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="clips at once (default 16)")
    parser.add_argument("--workers", type=int, metavar="N", help="decoding threads (default: cores)")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU if there is one)")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N videos, for a quick look")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the scores as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Score a model, print the table, write the report; return the exit status.

    Raises:
        UserError: a flag does not fit, or a file is not as published.
    """
    _check(arguments)
    videos = _read_set(arguments)
    from rich.console import Console

    from training.engine.parallel.distributed import close_ranks, init_ranks
    from training.vidla.clean_facts import clean_line

    ranks = init_ranks(arguments.device)
    try:
        report = _score(arguments, videos, ranks)
    finally:
        close_ranks(ranks)
    if ranks.is_main:
        report.show(Console())
        if arguments.benchmark != "folder":
            print(clean_line(arguments.checkpoint, arguments.benchmark))
        if arguments.output:
            report.write(arguments.output)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    from runtime.errors import UserError

    for name in ("frames", "batch_size", "workers", "limit"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value}: must be at least 1")
    if arguments.frame_mean and arguments.head:
        raise UserError("--frame-mean: is a zero-shot baseline and has no head; leave out one of the two")


def _read_set(arguments: argparse.Namespace) -> ClassificationSet:
    videos = read_labelled(arguments.benchmark, arguments.annotations, arguments.videos, arguments.split)
    return replace(videos, items=videos.items[: arguments.limit])


def _score(arguments: argparse.Namespace, videos: ClassificationSet, ranks: Ranks) -> ClassificationReport:
    """Open the model that the flags name, and classify the videos; return the report."""
    from training.engine.precision import choose_precision
    from training.evaluation.video.classification import score_classification
    from training.evaluation.video.frame_format import FrameFormat
    from training.evaluation.video.models.open_model import open_model
    from training.models.vidla.classification_head import read_head_config

    options = _options(arguments, read_head_config(arguments.head) if arguments.head else {})
    model, _ = open_model(arguments.checkpoint, options.frames, ranks.device, without_time=arguments.frame_mean)
    with choose_precision(arguments.precision, ranks.device).autocast(ranks.device):
        classify, videos = _classifier(arguments, model, videos)
        scores = score_classification(classify, videos, options, FrameFormat.of(model), ranks)
    return _report(arguments, videos, options, scores, model)


def _options(arguments: argparse.Namespace, facts: Mapping[str, Any]) -> ClassificationOptions:
    """Return frames, sampling and views: of the flags, otherwise of the head's training, otherwise of the paper."""
    from training.evaluation.video.classification import ClassificationOptions
    from training.evaluation.video.video_views import ONE_VIEW, Views
    from training.vidla.finetuning.finetuning_recipes import RECIPES, recipe_of

    benchmark = arguments.benchmark if arguments.benchmark in RECIPES else facts.get("benchmark")
    recipe = recipe_of(benchmark) if arguments.head and benchmark in RECIPES else None
    views = Views.parse(arguments.views) if arguments.views else recipe.views if recipe else ONE_VIEW
    sampling = arguments.sampling or facts.get("sampling") or (recipe.sampling if recipe else "uniform")
    frames = arguments.frames or facts.get("frames") or (HEAD_FRAMES if arguments.head else ZERO_SHOT_FRAMES)
    workers = arguments.workers or len(os.sched_getaffinity(0))
    return ClassificationOptions(sampling, frames, views, arguments.batch_size, workers)


def _classifier(
    arguments: argparse.Namespace, model: VideoTextModel, videos: ClassificationSet
) -> tuple[Classifier, ClassificationSet]:
    """Return the function from clips to logits, and the set with its classes in the order of the logits."""
    from runtime.errors import UserError
    from training.evaluation.video.class_prompts import templates_of
    from training.evaluation.video.classification import zero_shot
    from training.evaluation.video.embeddings import frame_mean
    from training.models.vidla.classification_head import VideoClassifier, load_head, width_of
    from training.models.vidla.two_tower import VidLA

    if arguments.head is None:
        encode = frame_mean(model) if arguments.frame_mean else None
        return zero_shot(model, videos.classes, templates_of(arguments.benchmark), encode), videos
    if not isinstance(model, VidLA):
        raise UserError(f"--head {arguments.head}: is a head of our own models, not of {arguments.checkpoint}")
    head = load_head(arguments.head, width_of(model.video)).to(model.logit_scale.device)
    return VideoClassifier(model.video, head).eval(), videos.in_order_of(head.classes)


def _report(
    arguments: argparse.Namespace,
    videos: ClassificationSet,
    options: ClassificationOptions,
    scores: ClassificationScores,
    model: VideoTextModel,
) -> ClassificationReport:
    from training.engine.precision import choose_precision
    from training.evaluation.published_scores import CLASSIFICATION
    from training.evaluation.video.classification_report import ClassificationReport
    from training.evaluation.video.models.open_model import weights_hash

    protocol: Protocol = "finetuned" if arguments.head else "zero-shot"
    precision = choose_precision(arguments.precision, model.logit_scale.device)

    def percent(share: float) -> float:
        return round(100 * share, 2)

    return ClassificationReport(
        benchmark=videos.name,
        split=videos.split,
        way=protocol,
        checkpoint=arguments.checkpoint,
        head=str(arguments.head) if arguments.head else None,
        frame_mean=arguments.frame_mean,
        look=options,
        classes=len(videos.classes),
        top1=percent(scores.top1),
        top5=percent(scores.top5),
        mean_class=percent(scores.mean_class),
        top1_at_least=percent(scores.top1_at_least),
        videos=scores.videos,
        failures=scores.failures,
        complete=scores.complete and arguments.limit is None,
        paper=CLASSIFICATION.get((videos.name, videos.split, protocol), ()),
        weights=weights_hash(model),
        precision=str(precision.dtype).removeprefix("torch."),
    )
