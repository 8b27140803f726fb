"""`eval-vidla classify`: a model and a benchmark in, accuracy beside the paper's out.

Without `--head` classes are told by sentences about them (zero-shot: 32 frames over the whole video, one view, as in
the paper); with it by a finetuned head (16 frames; 5x3 dense views for Kinetics, 2x3 uniform ones for SSv2).
Nothing heavy is imported before `run`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from training.engine.distributed import Ranks
    from training.evaluation.benchmarks.classification_set import ClassificationSet
    from training.evaluation.video.classification import ClassificationScores, Classifier, Looks
    from training.models.vidla.two_tower import VidLA

BENCHMARKS: Final = ("kinetics400", "ssv2", "folder")
ZERO_SHOT_FRAMES: Final = 32
HEAD_FRAMES: Final = 16

EXAMPLES: Final = """\
examples:
  eval-vidla classify --checkpoint run/best --benchmark kinetics400 --annotations anno/k400 --videos k400/val
      zero-shot, with the 28 sentences CLIP has for Kinetics
  eval-vidla classify --checkpoint openai --frame-mean --benchmark kinetics400 --annotations anno/k400 --videos k400/val
      CLIP itself, each frame by itself: the zero-shot baseline
  eval-vidla classify --checkpoint ft/best --head ft/best --benchmark ssv2 --annotations anno/ssv2 --videos ssv2/
      a finetuned head, in 2x3 views
  eval-vidla classify --checkpoint run/best --benchmark folder --videos videos/
      any videos: one sub-folder a class
"""


@dataclass(frozen=True)
class Published:
    """A number of the paper."""

    model: str
    top1: float
    """Per cent."""


PAPER: Final = {
    ("kinetics400", "val", "zero-shot"): (
        Published("VidLA-B/16", 60.2),
        Published("VFC", 59.4),
        Published("ActionCLIP", 56.4),
        Published("CLIP", 48.9),
    ),
    ("kinetics400", "test", "zero-shot"): (
        Published("VidLA-B/16", 59.1),
        Published("VFC", 58.8),
        Published("CLIP", 47.9),
    ),
    ("kinetics400", "val", "finetuned"): (
        Published("VidLA-B/32", 82.4),
        Published("VidLA-B/16", 84.9),
        Published("UMT-B", 85.7),
        Published("VideoMAE-B", 81.5),
    ),
    ("ssv2", "val", "finetuned"): (
        Published("VidLA-B/32", 67.9),
        Published("VidLA-B/16", 69.9),
        Published("UMT-B", 70.8),
        Published("VideoMAE-B", 70.8),
    ),
}
"""Top-1 by benchmark, split and way (VidLA, tables of zero-shot and finetuned classification)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `eval-vidla classify`."""
    parser.add_argument("--benchmark", required=True, choices=BENCHMARKS)
    parser.add_argument("--videos", required=True, type=Path, metavar="DIR", help="video files, found by their ids")
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="PATH",
        help="the benchmark's own files: val.csv for kinetics400; labels.json and validation.json for ssv2; none for "
        "folder, where each sub-folder of --videos is a class",
    )
    parser.add_argument("--split", default="val", choices=("train", "val", "test"), help="default val")
    parser.add_argument("--head", type=Path, metavar="FOLDER", help="finetuned head (default: zero-shot)")
    parser.add_argument(
        "--frame-mean", action="store_true", help="embed each frame by itself and average: CLIP without sense of time"
    )
    parser.add_argument("--views", metavar="SxC", help="spans x squares (default: 1x1; with a head the paper's)")
    parser.add_argument("--frames", type=int, metavar="T", help="frames a clip (default: 32 zero-shot, 16 with a head)")
    parser.add_argument(
        "--sampling",
        choices=("dense", "uniform"),
        help="a short window of dense frames, or frames over the whole video (default: uniform zero-shot, with a head "
        "that of its training)",
    )
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="clips at once (default 16)")
    parser.add_argument("--workers", type=int, metavar="N", help="decoding threads (default: cores)")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU where there is one)")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N videos, for a quick look")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the scores as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Score, print, write; the exit status.

    Raises:
        UserError: a flag, file or column does not fit; one line.
    """
    from training.engine.distributed import close_ranks, init_ranks
    from training.evaluation.score_files import write_json

    _check(arguments)
    videos = _read_set(arguments)
    ranks = init_ranks(arguments.device)
    try:
        report = _score(arguments, videos, ranks)
    finally:
        close_ranks(ranks)
    if ranks.is_main:
        _show(report)
        if arguments.output:
            write_json(arguments.output, report)
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
    from training.evaluation.benchmarks.classification_registry import read_labelled

    videos = read_labelled(arguments.benchmark, arguments.annotations, arguments.videos, arguments.split)
    return replace(videos, items=videos.items[: arguments.limit])


def _score(arguments: argparse.Namespace, videos: ClassificationSet, ranks: Ranks) -> dict[str, Any]:
    """Open what the flags name and show it the videos; the report."""
    from training.engine.precision import choose_precision
    from training.evaluation.video.classification import Picture, score
    from training.evaluation.video.open_model import open_model, weights_hash
    from training.models.vidla.classification_head import head_facts

    look = _look(arguments, head_facts(arguments.head) if arguments.head else {})
    model, _ = open_model(arguments.checkpoint, look.frames, ranks.device, without_time=arguments.frame_mean)
    precision = choose_precision(arguments.precision, ranks.device)
    with precision.autocast(ranks.device):
        classify, videos = _classifier(arguments, model, videos)
        scores = score(classify, videos, look, Picture.of(model), ranks)
    made_with = {"weights": weights_hash(model), "precision": str(precision.dtype).removeprefix("torch.")}
    return _report(arguments, videos, look, scores) | made_with


def _look(arguments: argparse.Namespace, facts: Mapping[str, Any]) -> Looks:
    """How videos are shown: as the flags say, else as the head was trained, else as in the paper."""
    from training.evaluation.video.classification import Looks
    from training.evaluation.video.video_views import ONE_VIEW, Views
    from training.vidla.finetuning_recipes import RECIPES, recipe_of

    benchmark = arguments.benchmark if arguments.benchmark in RECIPES else facts.get("benchmark")
    recipe = recipe_of(benchmark) if arguments.head and benchmark in RECIPES else None
    views = Views.parse(arguments.views) if arguments.views else recipe.views if recipe else ONE_VIEW
    sampling = arguments.sampling or facts.get("sampling") or (recipe.sampling if recipe else "uniform")
    frames = arguments.frames or facts.get("frames") or (HEAD_FRAMES if arguments.head else ZERO_SHOT_FRAMES)
    workers = arguments.workers or len(os.sched_getaffinity(0))
    return Looks(sampling, frames, views, arguments.batch_size, workers)


def _classifier(
    arguments: argparse.Namespace, model: VidLA, videos: ClassificationSet
) -> tuple[Classifier, ClassificationSet]:
    """What turns clips into logits, and the set with its classes in the order of the logits."""
    from training.evaluation.video.class_prompts import templates_of
    from training.evaluation.video.classification import zero_shot
    from training.evaluation.video.embeddings import frame_mean
    from training.models.vidla.classification_head import VideoClassifier, load_head, width_of

    if arguments.head is None:
        encode = frame_mean(model) if arguments.frame_mean else None
        return zero_shot(model, videos.classes, templates_of(arguments.benchmark), encode), videos
    head = load_head(arguments.head, width_of(model.video)).to(model.logit_scale.device)
    return VideoClassifier(model.video, head).eval(), videos.in_order_of(head.classes)


def _report(
    arguments: argparse.Namespace, videos: ClassificationSet, look: Looks, scores: ClassificationScores
) -> dict[str, Any]:
    """All that is told, as plain values; shares as per cent."""
    way = "finetuned" if arguments.head else "zero-shot"
    percent = {name: round(100 * getattr(scores, name), 2) for name in ("top1", "top5", "mean_class", "top1_at_least")}
    return {
        "benchmark": videos.name,
        "split": videos.split,
        "way": way,
        "checkpoint": arguments.checkpoint,
        "head": str(arguments.head) if arguments.head else None,
        "frame_mean": arguments.frame_mean,
        "look": asdict(look),
        "classes": len(videos.classes),
        **percent,
        "videos": scores.videos,
        "failures": scores.failures,
        "complete": scores.complete and arguments.limit is None,
        "paper": [asdict(row) for row in PAPER.get((videos.name, videos.split, way), ())],
    }


def _show(report: Mapping[str, Any]) -> None:
    """A table on standard output, ours first, and a line on each thing that makes it not comparable."""
    from rich.console import Console
    from rich.table import Table

    look = report["look"]
    shown = f"{look['frames']} frames, {look['sampling']}, {look['views']['temporal']}x{look['views']['spatial']} views"
    table = Table(title=f"{report['benchmark']} {report['split']}, {report['way']}: {shown}")
    for column in ("", "top-1", "top-5", "mean class"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("this checkpoint", *(f"{report[name]:.1f}" for name in ("top1", "top5", "mean_class")))
    for row in report["paper"]:
        table.add_row(f"{row['model']} (published)", f"{row['top1']:.1f}", "", "")
    console = Console()
    console.print(table)
    if report["failures"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(report["failures"].items()))
        console.print(
            f"incomplete: {report['videos']} videos scored, not scored: {reasons}; not comparable with published "
            f"numbers (top-1 with each of them counted as wrong: {report['top1_at_least']:.1f})"
        )
    elif not report["complete"]:
        console.print("only a part of the videos (--limit): not comparable with published numbers")
