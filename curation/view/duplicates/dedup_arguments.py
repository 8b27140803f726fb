"""Arguments of `curate dedup`; imports nothing, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
from typing import Final

EXAMPLES: Final = """\
examples:
  curate dedup out --name all --exact
      roots with the same bytes, and the same video of a site under two addresses
  curate dedup out --name all --exact --perceptual demo
      re-encoded, cropped, letterboxed, mirrored, faster and cut-out copies too, by the frame hashes of scores/demo
  curate dedup out --name all --semantic --vectors demo.clip --threshold 0.92
      clips with similar vectors; prints the share of clips that each threshold takes away
  curate select out --name distinct --dedup all
      a selection without the clips that go
"""


def add_dedup(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of `curate dedup`."""
    parser.add_argument("--name", required=True, metavar="NAME", help="table to write: duplicates/NAME.parquet")
    parser.add_argument("--exact", action="store_true", help="the same bytes, or the same video of a site")
    parser.add_argument(
        "--perceptual",
        nargs="?",
        const="",
        metavar="SET",
        help="the same pictures over time, by the frame hashes of a score set (default: the only one that has some)",
    )
    parser.add_argument("--semantic", action="store_true", help="clips with similar vectors; needs --vectors")
    parser.add_argument("--vectors", metavar="SET.COLUMN", help="score set and column of the vectors")
    parser.add_argument("--threshold", type=float, metavar="COS", help="least cosine of duplicates (default 0.95)")
    parser.add_argument("--floor", type=float, metavar="COS", help="least cosine of stored pairs (default 0.8)")
    parser.add_argument("--share", type=float, metavar="S", help="of a clip that a copy must show (default 0.7)")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="least length of what two videos share, for --perceptual (default 3)"
    )
    parser.add_argument(
        "--keep",
        metavar="ORDER",
        help="which clip of a group stays, best first: resolution, longest, earliest or SET.COLUMN of a score "
        "(default resolution,earliest)",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--address", metavar="RAY", help="a running Ray cluster (`auto`, or host:port), or `local`: run without Ray"
    )
