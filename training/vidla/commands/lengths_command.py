"""`eval-vidla lengths`: score one model at several numbers of frames, and compare its embeddings between them."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from training.vidla.commands import retrieval_command

if TYPE_CHECKING:
    from training.data.order.frame_buckets import FrameBuckets
    from training.engine.parallel.distributed import Ranks
    from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet
    from training.evaluation.scoring.length_scores import LengthScores

EXAMPLES = """\
examples:
  eval-vidla lengths --checkpoint run/best --benchmark shards --shards demo/shards --frames 8 16 32
  eval-vidla lengths --checkpoint run/best --benchmark msrvtt --annotations anno/MSRVTT --videos videos/ --frames 12 32
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `eval-vidla lengths`."""
    retrieval_command.add_benchmark_arguments(parser)
    parser.add_argument(
        "--frames",
        type=retrieval_command.positive,
        nargs="+",
        default=[8, 16, 32],
        metavar="N",
        help="numbers of frames (default: 8 16 32); the others are compared with the largest. A model that was trained "
        "with frames by duration is scored so too",
    )
    retrieval_command.add_machine_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score a model; under torchrun each rank embeds its share and the first one reports. Return the exit status.

    Raises:
        UserError: arguments don't fit, files are not as published, or the model can't be loaded.
    """
    benchmark = retrieval_command.read_benchmark(arguments)
    from training.engine.parallel.distributed import close_ranks, init_ranks

    ranks = init_ranks(arguments.device)
    try:
        return _evaluate(arguments, benchmark, ranks)
    finally:
        close_ranks(ranks)


def _evaluate(arguments: argparse.Namespace, benchmark: RetrievalSet, ranks: Ranks) -> int:
    import os

    from training.engine.precision import choose_precision
    from training.evaluation.score_files import write_json
    from training.evaluation.scoring.length_scores import score_lengths
    from training.evaluation.video.embeddings import EmbeddingOptions
    from training.evaluation.video.models.open_model import open_model

    model, frames = open_model(arguments.checkpoint, None, ranks.device)
    precision = choose_precision(arguments.precision, ranks.device)
    options = EmbeddingOptions(
        frames,
        arguments.batch_size,
        arguments.workers or len(os.sched_getaffinity(0)),
        snap=arguments.benchmark == "shards",
        buckets=_buckets(arguments.checkpoint),
    )
    with precision.autocast(ranks.device):
        rows = score_lengths(model, benchmark, options, arguments.frames, ranks)
    if ranks.is_main:
        _show(f"{benchmark.name} {benchmark.split}: {len(benchmark.items)} videos; {arguments.checkpoint}", rows)
        if arguments.output:
            write_json(arguments.output, {"benchmark": benchmark.name, "lengths": [asdict(row) for row in rows]})
    return 0


def _buckets(checkpoint: str) -> FrameBuckets | None:
    """Return the frames by duration that a trained model was trained with, if it was."""
    from training.models.vidla.vidla_folder import is_export, read_config
    from training.vidla.bucket_facts import recorded_buckets

    folder = Path(checkpoint)
    return recorded_buckets(read_config(folder)["extra"]) if folder.is_dir() and is_export(folder) else None


def _show(title: str, rows: list[LengthScores]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for name in ("frames", "T2V R@1", "V2T R@1", "cosine", "lowest", "same nearest clip"):
        table.add_column(name, justify="right")
    for row in rows:
        scores = f"{row.t2v_r1:.1f}", f"{row.v2t_r1:.1f}"
        table.add_row(row.frames, *scores, f"{row.cosine:.3f}", f"{row.lowest_cosine:.3f}", f"{row.same_nearest:.1f} %")
    Console().print(table)
