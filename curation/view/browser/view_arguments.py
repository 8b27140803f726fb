"""Arguments of `curate view`; imports nothing, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
from typing import Final

EXAMPLES: Final = """\
examples:
  curate view out
      opens http://127.0.0.1:8765/ : browse, clips with their claims, audit, runs, search
  curate view out --layer strict --select distinct --port 9000
  curate view out --host 0.0.0.0
      for others on the network: the address that is printed holds a token
"""


def add_view(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of `curate view`."""
    parser.add_argument("--layer", metavar="NAME", help="text layer (default: the only one)")
    parser.add_argument(
        "--select", metavar="NAME", dest="selection", help="selection of clips (default: that of the layer)"
    )
    parser.add_argument(
        "--index",
        action="store_true",
        help="first build an index of each set of more than a million vectors, or add new shards to it",
    )
    parser.add_argument("--port", type=_port, default=8765, metavar="N", help="port (default 8765; 0: any free one)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default 127.0.0.1: this machine only; elsewhere a token is asked for)",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a port, 0 to 65535")
    return int(text)
