"""`eval-vidla choice`: MSR-VTT multiple choice: which of five sentences is a video's own."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

EXAMPLES = """\
examples:
  eval-vidla choice --checkpoint run/best --annotations anno/MSRVTT --videos videos/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `eval-vidla choice`."""
    parser.add_argument(
        "--annotations", type=Path, required=True, metavar="PATH", help="msrvtt_mc_test.jsonl (or .json), or its folder"
    )
    parser.add_argument("--videos", type=Path, required=True, metavar="DIR", help="video files, named by their ids")
    parser.add_argument("--frames", type=int, metavar="T", help="frames a clip (default: as the model was trained)")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="clips at once (default 16)")
    parser.add_argument("--workers", type=int, metavar="N", help="decoding threads (default: cores)")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU if there is one)")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the scores as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Score a model, print its accuracy, write the report; return the exit status.

    Raises:
        UserError: a flag does not fit, or a file is not as published.
    """
    from runtime.errors import UserError
    from training.evaluation.benchmarks.retrieval.multiple_choice import read

    for name in ("frames", "batch_size", "workers"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value}: must be at least 1")
    questions = read(arguments.annotations, arguments.videos)
    from training.engine.parallel.distributed import close_ranks, init_ranks
    from training.engine.precision import choose_precision
    from training.evaluation.score_files import write_json
    from training.evaluation.video.choice import score_choice, summary
    from training.evaluation.video.embeddings import EmbeddingOptions, embed
    from training.evaluation.video.models.open_model import open_model, weights_hash

    ranks = init_ranks(arguments.device)
    try:
        model, frames = open_model(arguments.checkpoint, arguments.frames, ranks.device)
        workers = arguments.workers or len(os.sched_getaffinity(0))
        with choose_precision(arguments.precision, ranks.device).autocast(ranks.device):
            embedded = embed(model, questions.pairs, EmbeddingOptions(frames, arguments.batch_size, workers), ranks)
    finally:
        close_ranks(ranks)
    if not ranks.is_main:
        return 0
    scores = score_choice(questions, embedded)
    print(summary(scores))
    if arguments.output:
        settings = {"checkpoint": arguments.checkpoint, "frames": frames, "aggregation": model.aggregation}
        write_json(arguments.output, {**scores, "settings": settings, "weights_sha256": weights_hash(model)})
    return 0
