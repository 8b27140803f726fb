"""`train-vidlankd tokenize`: turn text into a tokenised corpus, read by memory map."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from training.command_line import add_settings_arguments, settings_of
from training.vidlankd.commands.subcommand import Subcommand

_EXAMPLES: Final = """\
examples:
  train-vidlankd tokenize --corpus wikitext-103-raw/wiki.train.raw --format wikitext --output wiki103
  train-vidlankd tokenize --corpus enwiki/*.parquet --column text --output wiki
      such as the hub's wikimedia/wikipedia, configuration 20231101.en
  train-vidlankd tokenize --shards /data/out --column grounded_text --output captions
      the texts of the clips, for the control that reads them and never sees a video
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--corpus", nargs="+", type=Path, metavar="FILE", help="text, WikiText or Parquet files; .gz as well"
    )
    source.add_argument("--shards", nargs="+", metavar="DIR", help="curated shards, to read one of their text columns")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the tokenised corpus")
    parser.add_argument("--column", metavar="NAME", help="text column of Parquet files or shards")
    parser.add_argument(
        "--select", metavar="NAME", dest="selection", help="with --shards: selection of clips (default: the layer's)"
    )
    parser.add_argument("--format", choices=("auto", "text", "wikitext", "parquet"), help="default: by the file's name")
    parser.add_argument("--encoding", metavar="NAME", help="encoding of text files (default utf-8)")
    parser.add_argument(
        "--tokenizer", metavar="URI", help="model URI of a BERT vocabulary (default bert-base-uncased of the hub)"
    )
    parser.add_argument("--block", type=int, metavar="N", help="tokens of a block without the 2 specials (default 126)")
    add_settings_arguments(parser)


def _run(arguments: argparse.Namespace) -> int:
    from training.corpus.tokenize_settings import TokenizeSettings

    names = ("tokenizer", "block", "format", "encoding", "column", "selection")
    flags = {name: getattr(arguments, name) for name in names}
    settings = settings_of(TokenizeSettings, arguments, flags)
    if arguments.print_config:
        from runtime.settings_page import print_settings

        return print_settings(settings)
    from training.corpus.tokenize_corpus import tokenize

    print(tokenize(arguments.corpus or [], arguments.output, settings, shards=arguments.shards or []).text())
    return 0


TOKENIZE: Final = Subcommand("tokenize", "text to memory-mapped blocks", _add_arguments, _run, _EXAMPLES)
