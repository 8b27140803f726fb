"""`train-vidlankd teacher`: train a language tower and a video tower together on clips and their texts."""

from __future__ import annotations

import argparse
from typing import Final

from training.command_line import (
    add_run_arguments,
    asked_for,
    check_model,
    check_run_folder,
    check_writable,
    run_flags,
    settings_of,
)
from training.vidlankd.commands.subcommand import Subcommand, add_shards, add_size

_EXAMPLES: Final = """\
examples:
  train-vidlankd teacher --shards /data/out --features resnet --output teacher
  torchrun --nproc-per-node 4 -m training.vidlankd.train_vidlankd teacher --shards /data/out --features resnet \\
    --output teacher
  train-vidlankd teacher --shards /data/out --output blind --set loss.contrastive=0
      the same teacher on the texts alone: the control that shows what the video contributes
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_shards(parser, required=False)
    parser.add_argument("--features", metavar="NAME", help="feature set that `train-vidlankd features` wrote")
    parser.add_argument("--layer", metavar="NAME", help="text layer to train on (default: the only one)")
    parser.add_argument(
        "--select", metavar="NAME", dest="selection", help="selection of clips (default: that of the layer)"
    )
    add_size(parser)
    add_run_arguments(parser, "vidlankd-teacher", "clips", 64, "20 epochs")


def _run(arguments: argparse.Namespace) -> int:
    from training.vidlankd.vidlankd_settings import TEACHER, TeacherSettings

    flags = {
        "model": {"shape": arguments.size},
        "data": {
            "shards": arguments.shards,
            "features": arguments.features,
            "layers": {arguments.layer: 1.0} if arguments.layer else None,
            "selection": arguments.selection,
        },
        **run_flags(arguments),
    }
    defaults = TEACHER.below(asked_for(arguments, flags))
    settings = settings_of(TeacherSettings, arguments, flags, defaults)
    if arguments.print_config:
        from runtime.settings_page import print_settings

        return print_settings(settings)
    check_run_folder(arguments.output, arguments.resume)
    from training.data.sources.shard_tables import check_column, open_shards
    from training.models.vidlankd.text_tokenizer import TextTokenizer
    from training.vidlankd.teacher.feature_choice import open_features

    for column in settings.data.text:
        check_column("data.text", column)
    check_model(settings.model.tokenizer)
    open_shards(settings.data.shards, settings.data.layers, settings.data.selection)
    if settings.loss.contrastive:
        open_features(settings.data)
    TextTokenizer.from_uri(settings.model.tokenizer)
    check_writable(arguments.output)
    from training.vidlankd.vidlankd_runs import run_teacher

    return run_teacher(settings, arguments.output, arguments.resume)


TEACHER_COMMAND: Final = Subcommand(
    "teacher", "train a video-language teacher", _add_arguments, _run, _EXAMPLES, resumable=True
)
