"""Arguments of `curate card`; imports nothing, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
from typing import Final

EXAMPLES: Final = """\
examples:
  curate card out
      writes README.md for the hub, report.html to look at, and croissant.json, beside the tables of out
  curate card out --layer strict --select distinct --title "Street scenes"
  curate card s3://bucket/out --output card
      into another folder; paths in README.md and croissant.json stay those of DIR
"""


def add_card(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of `curate card`."""
    parser.add_argument("--layer", metavar="NAME", help="text layer (default: the only one)")
    parser.add_argument(
        "--select", metavar="NAME", dest="selection", help="selection of clips (default: that of the layer)"
    )
    parser.add_argument("--output", metavar="FOLDER", help="folder (or object-store URL) to write to (default: DIR)")
    parser.add_argument("--title", metavar="TEXT", help="title of the card (default: the name of DIR)")
