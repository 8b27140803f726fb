"""The command `eval-vidla`: score a trained model on a benchmark, beside the paper's scores, or score clips with it.

    eval-vidla retrieval --checkpoint run/best --benchmark msrvtt --annotations anno/MSRVTT --videos videos/
    eval-vidla classify --checkpoint run/best --benchmark kinetics400 --annotations anno/k400 --videos videos/
    eval-vidla lengths --checkpoint run/best --benchmark shards --shards DIR --frames 8 16 32
    eval-vidla score --checkpoint run/best --shards DIR --name first

Nothing heavy is imported before a subcommand needs it: `eval-vidla --help` answers at once.
Exit status: 0 done; 1 stopped by the machine; 2 a mistake in the arguments or the data; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from training.command_line import ended
from training.vidla.commands import (
    choice_command,
    classify_command,
    lengths_command,
    retrieval_command,
    score_command,
)

_COMMANDS = {
    "retrieval": retrieval_command.run,
    "classify": classify_command.run,
    "lengths": lengths_command.run,
    "choice": choice_command.run,
    "score": score_command.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status."""
    arguments = _parser().parse_args(argv)
    return ended("eval-vidla", lambda: _run(arguments), resumable=False)


def _run(arguments: argparse.Namespace) -> int:
    from runtime.errors import UserError
    from training.engine.engine_settings import check_device
    from training.evaluation.score_files import check_writable

    try:
        check_device(arguments.device)
    except ValueError as error:
        raise UserError(f"--device {arguments.device}: {error}") from None
    if getattr(arguments, "output", None):
        check_writable(arguments.output)
    return _COMMANDS[arguments.command](arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eval-vidla",
        description="Score a model on published benchmarks and on held-out shards, or clips with a model.",
        epilog="`eval-vidla COMMAND --help` has examples. Works under torchrun: each rank embeds its share.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    summary = "text-to-video and video-to-text: R@1/5/10, MdR, MnR, with and without dual softmax"
    retrieval_command.add_arguments(_add(commands, "retrieval", summary, retrieval_command.EXAMPLES))
    summary = "classification of videos, zero-shot with prompt templates or with a finetuned head"
    classify_command.add_arguments(_add(commands, "classify", summary, classify_command.EXAMPLES))
    summary = "retrieval at several numbers of frames, and how far the embeddings of a clip agree between them"
    lengths_command.add_arguments(_add(commands, "lengths", summary, lengths_command.EXAMPLES))
    summary = "MSR-VTT multiple choice: which of five sentences is a video's own"
    choice_command.add_arguments(_add(commands, "choice", summary, choice_command.EXAMPLES))
    summary = "every clip of a DIR: vectors of clips and texts, their match, and its percentile"
    score_command.add_arguments(_add(commands, "score", summary, score_command.EXAMPLES))
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, examples: str
) -> argparse.ArgumentParser:
    """Add a subcommand that takes a model."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="MODEL",
        help="folder of a trained model (RUN/best), or for a zero-shot baseline the weights of `train-vidla --init`: "
        "openai, ViT-B-16:openai, hf://…, random:tiny; or another model of images or videos and texts: open_clip:… and "
        "such weights, transformers:FOLDER or transformers:hf://…",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
