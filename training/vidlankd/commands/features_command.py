"""`train-vidlankd features`: extract visual features of every root of a DIR as a time series."""

from __future__ import annotations

import argparse
from typing import Final

from training.command_line import add_settings_arguments, settings_of
from training.vidlankd.commands.subcommand import Subcommand, add_device, add_shards

_EXAMPLES: Final = """\
examples:
  train-vidlankd features --shards /data/out --encoder resnet152+r2plus1d_18@8fps --name resnet
      the paper's kind of features, at the shards' own frame rate
  train-vidlankd features --shards /data/out --encoder resnet152+r2plus1d_18 --name resnet24 --video original
      the same at 24 frames per second, from the original files (--originals DIR if the sources were URLs)
  train-vidlankd features --shards /data/out --encoder clip:ViT-B-32:openai --name clip
  train-vidlankd features --shards demo/shards --encoder vidla:demo/vidla/best --name vidla
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_shards(parser)
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="resnet152+r2plus1d_18[@8fps], clip:ARCHITECTURE:TAG, vidla:FOLDER",
    )
    parser.add_argument("--name", metavar="NAME", help="name of the feature set, stored in DIR/features/NAME")
    parser.add_argument("--video", choices=("shards", "original"), help="decode the stored roots or the original files")
    parser.add_argument("--originals", metavar="DIR", help="folder with the originals of sources that were URLs")
    parser.add_argument(
        "--select",
        metavar="NAME",
        dest="selection",
        help="encode only roots with a clip that this selection keeps (default: all roots)",
    )
    parser.add_argument("--replace", action="store_true", help="extract the set again if its settings changed")
    parser.add_argument("--address", metavar="RAY", help="address of a running Ray cluster (default: this machine)")
    add_device(parser)
    add_settings_arguments(parser)


def _run(arguments: argparse.Namespace) -> int:
    from training.features.features_settings import FeaturesSettings

    names = ("name", "encoder", "video", "originals", "device", "selection")
    flags = {name: getattr(arguments, name) for name in names}
    settings = settings_of(FeaturesSettings, arguments, flags)
    if arguments.print_config:
        from runtime.settings_page import print_settings

        return print_settings(settings)
    from training.features.features_stage import extract

    return extract(arguments.shards, settings, address=arguments.address, replace=arguments.replace)


FEATURES: Final = Subcommand("features", "visual features of curated shards", _add_arguments, _run, _EXAMPLES)
