"""`eval-vidla retrieval`: score a model on a retrieval benchmark, and show the paper's scores beside it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.evaluation.benchmarks.retrieval.retrieval_registry import RETRIEVAL_BENCHMARKS, read_retrieval

if TYPE_CHECKING:
    from training.engine.parallel.distributed import Ranks
    from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet

_DUAL = {"both": (False, True), "on": (True,), "off": (False,)}

EXAMPLES = """\
examples:
  eval-vidla retrieval --checkpoint run/best --benchmark msrvtt --annotations anno/MSRVTT --videos videos/
      a finetuned model, with the frames it was trained with (32 in the paper)
  eval-vidla retrieval --checkpoint openai --frame-mean --benchmark didemo --annotations anno/didemo --videos videos/
      CLIP itself, on single frames: the zero-shot baseline
  eval-vidla retrieval --checkpoint transformers:hf://org/name --benchmark msrvtt --annotations anno/MSRVTT --videos v/
      another model, for comparison: any two towers of transformers, or open_clip:ARCHITECTURE:TAG
  eval-vidla retrieval --checkpoint run/best --benchmark shards --shards demo/shards --text grounded_text
      clips held out of training
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `eval-vidla retrieval`."""
    add_benchmark_arguments(parser)
    _add_own_arguments(parser)
    add_machine_arguments(parser)


def add_benchmark_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name the videos and texts, for `read_benchmark`."""
    parser.add_argument("--benchmark", required=True, choices=[*RETRIEVAL_BENCHMARKS, "shards"])
    parser.add_argument("--annotations", type=Path, metavar="DIR", help="the benchmark's published files, or one file")
    parser.add_argument("--videos", type=Path, metavar="DIR", help="video files, named by their ids, nested or not")
    parser.add_argument("--split", help="default: the test split (shards: val)")
    parser.add_argument(
        "--shards", nargs="+", metavar="DIR", help="with --benchmark shards: folders that `curate run` wrote"
    )
    parser.add_argument("--layer", metavar="NAME", help="with --benchmark shards: text layer (default: the only one)")
    parser.add_argument(
        "--select",
        metavar="NAME",
        dest="selection",
        help="with --benchmark shards: selection of clips (default: that of the layer)",
    )
    parser.add_argument(
        "--text",
        nargs="+",
        default=["grounded_text", "caption_summary"],
        metavar="COLUMN",
        help="with --benchmark shards: text columns of the queries, the first that is not empty (default: "
        "grounded_text, otherwise caption_summary)",
    )
    parser.add_argument(
        "--clips",
        choices=("root", "short", "medium", "long"),
        default="root",
        help="with --benchmark shards: root clips (default), or all of one level",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N videos with their texts")


def _add_own_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--frames",
        type=positive,
        metavar="N",
        help="frames a clip (default: as the model was trained; 12 for CLIP weights, since the paper does not state "
        "the number for zero-shot; its finetuned models take 32)",
    )
    parser.add_argument(
        "--frame-mean", action="store_true", help="embed single frames and average them: CLIP without a sense of time"
    )
    parser.add_argument("--dsl", choices=tuple(_DUAL), default="both", help="dual softmax (default: without and with)")
    parser.add_argument(
        "--missing",
        choices=("drop", "miss"),
        default="drop",
        help="missing videos: leave them out together with their texts (default), or count them as misses; "
        "the scores are marked as not comparable either way",
    )


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of batches, device, precision and output."""
    parser.add_argument("--batch-size", type=positive, default=16, metavar="N", help="clips at once (default 16)")
    parser.add_argument("--workers", type=positive, metavar="N", help="decoding threads (default: cores)")
    parser.add_argument("--device", help="cpu, cuda (default: a GPU if there is one)")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write everything as JSON too")


def run(arguments: argparse.Namespace) -> int:
    """Score a model; under torchrun each rank embeds its share and the first one reports. Return the exit status.

    Raises:
        UserError: arguments don't fit, files are not as published, or the model can't be loaded.
    """
    benchmark = read_benchmark(arguments)
    from training.engine.parallel.distributed import close_ranks, init_ranks

    ranks = init_ranks(arguments.device)
    try:
        return _evaluate(arguments, benchmark, ranks)
    finally:
        close_ranks(ranks)


def read_benchmark(arguments: argparse.Namespace) -> RetrievalSet:
    """Read the benchmark that the arguments name.

    Raises:
        UserError: a required argument is missing, or the benchmark's files are not as published.
    """
    from runtime.errors import UserError

    if arguments.benchmark == "shards":
        return _read_shards(arguments)
    for name in ("annotations", "videos"):
        if getattr(arguments, name) is None:
            raise UserError(f"--benchmark {arguments.benchmark}: --{name} must be given")
    if arguments.shards:
        raise UserError(f"--benchmark {arguments.benchmark}: takes no --shards; did you mean --benchmark shards?")
    benchmark = read_retrieval(arguments.benchmark, arguments.annotations, arguments.videos, arguments.split)
    return benchmark.first(arguments.limit) if arguments.limit else benchmark


def _evaluate(arguments: argparse.Namespace, benchmark: RetrievalSet, ranks: Ranks) -> int:
    import os

    from rich.console import Console

    from training.engine.precision import choose_precision
    from training.evaluation.video.embeddings import EmbeddingOptions, embed, frame_mean, video_lengths
    from training.evaluation.video.models.open_model import open_model, weights_hash
    from training.evaluation.video.retrieval_report import evaluate_retrieval, show_retrieval
    from training.vidla.clean_facts import clean_line

    model, frames = open_model(arguments.checkpoint, arguments.frames, ranks.device, without_time=arguments.frame_mean)
    precision = choose_precision(arguments.precision, ranks.device)
    workers = arguments.workers or len(os.sched_getaffinity(0))
    options = EmbeddingOptions(frames, arguments.batch_size, workers, snap=arguments.benchmark == "shards")
    aggregation = "mean of frames" if arguments.frame_mean else model.aggregation
    if ranks.is_main:
        print(f"device  {ranks.why}; {precision}; {frames} frames a clip, {aggregation}", file=sys.stderr)
    with precision.autocast(ranks.device):
        embedded = embed(model, benchmark, options, ranks, frame_mean(model) if arguments.frame_mean else None)
    if not ranks.is_main:
        return 0
    report = evaluate_retrieval(
        benchmark,
        embedded,
        video_lengths(benchmark.items, workers),
        dual_softmax=_DUAL[arguments.dsl],
        missing=arguments.missing,
    )
    show_retrieval(report, arguments.checkpoint, Console())
    if arguments.benchmark != "shards":
        print(clean_line(arguments.checkpoint, arguments.benchmark))
    if arguments.output:
        settings = {name: value for name, value in vars(arguments).items() if name not in ("command", "output")}
        settings |= {
            "frames": frames,
            "aggregation": aggregation,
            "precision": str(precision.dtype),
            "weights_sha256": weights_hash(model),
        }
        report.write(arguments.output, {name: _plain(value) for name, value in settings.items()})
    return 0


def _read_shards(arguments: argparse.Namespace) -> RetrievalSet:
    from runtime.errors import UserError
    from training.evaluation.benchmarks.retrieval import shards_benchmark

    if not arguments.shards:
        raise UserError("--benchmark shards: --shards DIR must be given")
    if arguments.annotations or arguments.videos:
        raise UserError("--benchmark shards: texts and videos are in --shards; leave out --annotations and --videos")
    if arguments.split not in (None, "val", "train"):
        raise UserError(f"--split {arguments.split}: shards have val, train")
    return shards_benchmark.read(
        arguments.shards,
        arguments.text,
        layer=arguments.layer,
        selection=arguments.selection,
        split="train" if arguments.split == "train" else "val",
        clips=arguments.clips,
        limit=arguments.limit,
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def positive(text: str) -> int:
    """Return the whole number of an argument; refuse one below 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of 1 or more")
    return int(text)
