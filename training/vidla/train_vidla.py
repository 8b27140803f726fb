"""The command `train-vidla`: reads the arguments, trains one run, returns an exit status.

    train-vidla --shards demo/shards --init random:tiny --batch-size 6 --steps 50 --output demo/vidla
    torchrun --nproc-per-node 8 -m training.vidla.train_vidla --shards s3://bucket/shards --output run

Nothing heavy is imported before the arguments are read: `train-vidla --help` answers at once. Mistakes that need no
model to be seen are reported before torch is imported.
Exit status: 0 done; 1 stopped by the machine or by a loss that is not finite; 2 a mistake in the arguments, settings or
data; 143 stopped by a signal after a checkpoint was written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.command_line import (
    add_run_arguments,
    asked_for,
    check_model,
    check_run_folder,
    check_writable,
    ended,
    parse,
    run_flags,
    settings_of,
)
from training.vidla.commands import export_command
from training.vidla.launch import add_launch_arguments

if TYPE_CHECKING:
    from training.vidla.vidla_settings import VidlaSettings

_EXAMPLES = """\
examples:
  train-vidla --shards demo/shards --init random:tiny --batch-size 6 --steps 50 --output demo/vidla
      two CPU cores, the shards of `make demo`
  train-vidla --shards /data/out --init openai --output run --batch-size 1024 --set compute.micro_batch=128
      VidLA-B/32 on one GPU
  torchrun --nproc-per-node 8 -m training.vidla.train_vidla --shards /data/out --init ViT-B-16:openai --output run
      eight GPUs
  train-vidla --shards /data/out --output /shared/run --address auto --workers 8:32
      on a Ray cluster, restarted when workers die (docs/train-at-scale.md)
  train-vidla --shards /data/out --output run --resume auto
      continue a run that was stopped
  train-vidla finetune --benchmark msrvtt --annotations anno/ --videos videos/ --init path:///run/best --output ft
      the paper's settings for a benchmark (`train-vidla finetune --help`)
  train-vidla export run/best --output vidla-b32
      a folder that transformers opens, with a model card (`train-vidla export --help`)

`--print-config` shows every setting with its value; any of them can be changed with --set or in --config FILE (YAML).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Train one run; return the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["export"]:
        exported = export_command.parser().parse_args(given[1:])
        return ended("train-vidla", lambda: export_command.run(exported), resumable=False)
    finetuning = given[:1] == ["finetune"]
    parser, rest = (_finetune_parser(), given[1:]) if finetuning else (_parser(), given)
    arguments = parse(parser, rest, lambda _: _settings_class())
    return ended("train-vidla", lambda: _finetune(arguments) if finetuning else _train(arguments))


def _settings_class() -> type[VidlaSettings]:
    from training.vidla.vidla_settings import VidlaSettings

    return VidlaSettings


def _train(arguments: argparse.Namespace) -> int:
    from training.vidla.resumed_settings import resumed_settings

    settings = _settings(arguments, resumed_settings(arguments.output, arguments.resume, asked_for(arguments, {})))
    if arguments.print_config:
        from runtime.settings_page import print_settings

        return print_settings(settings)
    from training.vidla.text_terms import with_terms
    from training.vidla.vidla_settings import check_negatives

    _check(settings, arguments)
    check_negatives(settings)
    if settings.data.source == "shards":
        _check_shards(settings)
    settings = with_terms(settings)
    check_writable(arguments.output)
    from training.vidla.launch import launch
    from training.vidla.pretraining_run import run_pretraining

    return launch(partial(run_pretraining, settings, arguments.output.absolute()), settings, arguments)


def _check_shards(settings: VidlaSettings) -> None:
    from training.data.sources.shard_tables import check_column, open_shards

    for term, columns in (settings.loss.columns_by_term if settings.loss.terms else {}).items():
        for column in columns:
            check_column(f"loss.terms.{term}", column)
    open_shards(settings.data.shards, settings.data.layers, settings.data.selection)


def _finetune(arguments: argparse.Namespace) -> int:
    from runtime.settings import merged
    from training.evaluation.benchmarks.retrieval.retrieval_registry import RETRIEVAL_BENCHMARKS
    from training.vidla.finetuning.finetuning_recipes import settings_below
    from training.vidla.resumed_settings import resumed_settings

    asked = asked_for(
        arguments, {"model": {"init": arguments.init}, "loop": {"steps": arguments.steps, "samples": arguments.clips}}
    )
    resumed = resumed_settings(arguments.output, arguments.resume, asked)
    known = RETRIEVAL_BENCHMARKS.get(arguments.benchmark)
    if known is not None and "val" in known.splits:
        resumed.get("evaluation", {}).pop("select_on", None)  # such runs were always scored on it
    settings = _settings(arguments, merged(settings_below(arguments.benchmark, asked), resumed))
    if arguments.print_config:
        from runtime.settings_page import print_settings

        return print_settings(settings)
    _check(settings, arguments)
    from training.vidla.finetuning.finetuning_request import FinetuningRequest

    request = FinetuningRequest(
        settings, arguments.benchmark, arguments.annotations, arguments.videos, arguments.output
    )
    request.check()
    check_writable(arguments.output)
    from training.vidla.finetuning.finetuning_run import run_finetuning
    from training.vidla.launch import launch

    return launch(partial(run_finetuning, request), settings, arguments)


def _check(settings: VidlaSettings, arguments: argparse.Namespace) -> None:
    """Refuse what a run can't use, before torch is imported."""
    from training.vidla.vidla_settings import check_parallel

    check_parallel(settings)
    check_run_folder(arguments.output, arguments.resume)
    if "://" in settings.model.init:
        check_model(settings.model.init)


def _settings(arguments: argparse.Namespace, defaults: dict[str, Any]) -> VidlaSettings:
    from runtime.settings import merged
    from training.vidla.vidla_settings import VidlaSettings

    layer = getattr(arguments, "layer", None)
    data = {name: getattr(arguments, name, None) for name in ("shards", "source", "selection")}
    flags = {
        "model": {"init": arguments.init, "frames": arguments.frames, "text_context": arguments.text_context},
        "data": data | {"layers": {layer: 1.0} if layer else None},
        "evaluation": {"select_on": getattr(arguments, "select_on", None)},
        **merged(run_flags(arguments), {"loop": {"samples": arguments.clips}}),
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
        "--select", metavar="NAME", dest="selection", help="selection of clips (default: that of the layer)"
    )
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
    parser.add_argument("--videos", required=True, type=Path, metavar="DIR", help="video files, named by their ids")
    parser.add_argument(
        "--select-on",
        choices=("val", "test"),
        help="choose the best checkpoint on val (default: the benchmark's validation split, or a twentieth of the "
        "training videos, which are then not trained on), or on test, the split of the published scores: they are then "
        "too good",
    )
    _add_common(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--init",
        metavar="WEIGHTS",
        help="initial weights: an open_clip tag, ARCHITECTURE:TAG, hf://…, path:///…, random:tiny (default openai)",
    )
    parser.add_argument("--frames", type=int, metavar="T", help="frames a clip (default 12)")
    parser.add_argument(
        "--text-context",
        type=int,
        metavar="N",
        help="tokens of a text that CLIP's text tower sees, by interpolated positions (Long-CLIP: 248; default 77)",
    )
    parser.add_argument("--clips", type=int, metavar="N", help="length in training clips instead of --steps")
    length = "three epochs: three times as many training clips as the split holds; finetuning: the recipe's"
    add_launch_arguments(parser)
    add_run_arguments(parser, "vidla-run", "clips", 4096, length)


if __name__ == "__main__":
    sys.exit(main())
