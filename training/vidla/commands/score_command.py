"""`eval-vidla score`: score every clip of a DIR with a model, so that what it has learned can choose clips."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from training.engine.parallel.distributed import Ranks

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")

EXAMPLES = """\
examples:
  eval-vidla score --checkpoint run/best --shards DIR --name first
      writes DIR/scores/first: vectors of clips and texts, match, match_percentile; run again after the DIR has grown
  curate select DIR --name matched --where "match_percentile > 0.8"
      a selection by these scores
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `eval-vidla score`."""
    parser.add_argument("--shards", required=True, nargs="+", metavar="DIR", help="folders that `curate run` wrote")
    parser.add_argument("--name", required=True, type=_name, metavar="NAME", help="score set to write: DIR/scores/NAME")
    parser.add_argument("--layer", metavar="NAME", help="text layer (default: the only one)")
    parser.add_argument(
        "--text",
        nargs="+",
        default=["grounded_text", "caption"],
        metavar="COLUMN",
        help="text columns, the first that is not empty (default: grounded_text, otherwise caption)",
    )
    parser.add_argument(
        "--frames", type=_positive, metavar="N", help="frames a clip (default: as trained; 12 for CLIP weights)"
    )
    parser.add_argument("--replace", action="store_true", help="score again where NAME was made with other settings")
    parser.add_argument("--batch-size", type=_positive, default=16, metavar="N", help="clips at once (default 16)")
    parser.add_argument("--workers", type=_positive, metavar="N", help="decoding threads (default: cores)")
    parser.add_argument("--device", help="cpu, cuda (default: a GPU if there is one)")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")


def run(arguments: argparse.Namespace) -> int:
    """Score the DIRs one after another; return the exit status.

    Raises:
        UserError: arguments don't fit, the score set exists with other settings, or the model can't be loaded.
        ShardError: not a DIR, or another run writes its scores.
    """
    from training.engine.parallel.distributed import close_ranks, init_ranks

    ranks = init_ranks(arguments.device)
    try:
        return _score(arguments, ranks)
    finally:
        close_ranks(ranks)


def _score(arguments: argparse.Namespace, ranks: Ranks) -> int:
    from training.engine.precision import choose_precision
    from training.evaluation.scoring.score_dir import DirScorer, score_dir
    from training.evaluation.scoring.scores_plan import ScoreRequest
    from training.evaluation.scoring.scores_summary import summary
    from training.evaluation.video.embeddings import EmbeddingOptions
    from training.evaluation.video.models.open_model import open_model, weights_hash

    model, frames = open_model(arguments.checkpoint, arguments.frames, ranks.device)
    precision = choose_precision(arguments.precision, ranks.device)
    workers = arguments.workers or len(os.sched_getaffinity(0))
    scorer = DirScorer(model, EmbeddingOptions(frames, arguments.batch_size, workers, snap=True), ranks)
    request = ScoreRequest(
        name=arguments.name,
        model=_address(arguments.checkpoint),
        weights=weights_hash(model)[:16],
        frames=frames,
        columns=tuple(arguments.text),
        layer=arguments.layer,
    )
    if ranks.is_main:
        print(f"device  {ranks.why}; {precision}; {frames} frames a clip", file=sys.stderr)
    for root in arguments.shards:
        with precision.autocast(ranks.device):
            plan, scored = score_dir(root, scorer, request, replace=arguments.replace)
        if ranks.is_main:
            print(summary(plan, scored))
    return 0


def _address(checkpoint: str) -> str:
    """Return the name of a model as records keep it: a folder by its full path, anything else as it is."""
    return f"path://{quote(str(Path(checkpoint).resolve()))}" if Path(checkpoint).is_dir() else checkpoint


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}: letters, digits, - and _ only")
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of 1 or more")
    return int(text)
