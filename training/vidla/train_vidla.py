"""The command `train-vidla`: arguments in, one run, exit status out.

    train-vidla --shards demo/shards --init random:tiny --batch-size 8 --steps 50 --output demo/vidla
    torchrun --nproc-per-node 8 -m training.vidla.train_vidla --shards s3://bucket/shards --init ViT-B-16:openai --output run

Nothing heavy is imported before the arguments are read: `train-vidla --help` answers at once.
Exit status: 0 done; 1 stopped by the machine or by a loss that is no number; 2 a mistake in what was asked; 143
stopped by a signal, with a checkpoint written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.settings_page import print_settings
from training.command_line import add_run_arguments, ended, run_flags, settings_of

if TYPE_CHECKING:
    from training.vidla.vidla_settings import VidlaSettings

_EXAMPLES = """\
examples:
  train-vidla --shards demo/shards --init random:tiny --batch-size 8 --steps 50 --output demo/vidla
      two CPU cores, the shards of `make demo`
  train-vidla --shards /data/out --init openai --output run --batch-size 1024 --set compute.micro_batch=128
      VidLA-B/32 on one GPU
  torchrun --nproc-per-node 8 -m training.vidla.train_vidla --shards /data/out --init ViT-B-16:openai --output run
      eight GPUs
  train-vidla --shards /data/out --output run --resume auto
      go on where the run stopped
  train-vidla finetune --benchmark msrvtt --annotations anno/ --videos videos/ --init path:///run/best --output ft
      the paper's settings for a benchmark (`train-vidla finetune --help`)

`--print-config` shows every setting with its value; any of them can be changed with --set or in --config FILE (YAML).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Train; the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    finetuning = given[:1] == ["finetune"]
    arguments = _finetune_parser().parse_args(given[1:]) if finetuning else _parser().parse_args(given)
    return ended("train-vidla", lambda: _finetune(arguments) if finetuning else _train(arguments))


def _train(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments, {})
    if arguments.print_config:
        return print_settings(settings)
    from training.vidla.pretraining_run import run

    return run(settings, arguments.output, arguments.resume)


def _finetune(arguments: argparse.Namespace) -> int:
    from training.vidla.finetuning_run import recipe, run_finetuning

    settings = _settings(arguments, recipe(arguments))
    if arguments.print_config:
        return print_settings(settings)
    return run_finetuning(settings, arguments)


def _settings(arguments: argparse.Namespace, defaults: dict[str, Any]) -> VidlaSettings:
    from training.vidla.vidla_settings import VidlaSettings

    layer = getattr(arguments, "layer", None)
    data = {"shards": getattr(arguments, "shards", None), "source": getattr(arguments, "source", None)}
    flags = {
        "model": {"init": arguments.init, "frames": arguments.frames},
        "data": data | {"layers": {layer: 1.0} if layer else None},
        **run_flags(arguments),
    }
    return settings_of(VidlaSettings, arguments, flags, defaults)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train-vidla",
        description="Train VidLA, a two-tower video-text model started from CLIP, on curated shards.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--shards", nargs="+", metavar="DIR", help="folders or object-store URLs that `curate run` wrote"
    )
    parser.add_argument("--layer", metavar="NAME", help="text layer to train on (default: the only one)")
    parser.add_argument(
        "--source", choices=("shards", "webdataset"), help="webdataset: tars with .mp4 and .txt, made by other tools"
    )
    _add_common(parser)
    return parser


def _finetune_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train-vidla finetune",
        description="Finetune on a published benchmark with the paper's settings for it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ("msrvtt", "didemo", "activitynet", "msvd", "vatex", "kinetics400", "ssv2")
    parser.add_argument("--benchmark", required=True, choices=names)
    parser.add_argument("--annotations", required=True, type=Path, metavar="DIR", help="the benchmark's own files")
    parser.add_argument("--videos", required=True, type=Path, metavar="DIR", help="video files, found by their ids")
    _add_common(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--init",
        metavar="WEIGHTS",
        help="where to start: an open_clip tag, ARCHITECTURE:TAG, hf://…, path:///…, random:tiny (default openai)",
    )
    parser.add_argument("--frames", type=int, metavar="T", help="frames a clip (default 12)")
    add_run_arguments(parser, "vidla-run", "clips", 4096, "three epochs")


if __name__ == "__main__":
    sys.exit(main())
