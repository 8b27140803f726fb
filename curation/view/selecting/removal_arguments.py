"""The arguments of `curate remove`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

REMOVE_EXAMPLES: Final = """\
examples:
  curate remove out --urls "https://www.youtube.com/watch?v=dQw4w9WgXcQ" --reason "request 16" --dry-run
      what would go; without --dry-run it goes
  curate remove out --ids youtube:dQw4w9WgXcQ 0f3a9b5c21d4e687_000012000_000043000 --reason "request 17"
      by the id of the site, and by the key of any clip of a video
  curate remove out --ids ids.txt --reason "request 18"
      one id a line
  curate remove out --channel "https://www.youtube.com/@someone" --reason "request 19"
  curate remove out
      finishes a removal that was interrupted
"""


def add_removal(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `curate remove`, but for DIR."""
    parser.add_argument(
        "--ids",
        nargs="+",
        default=[],
        metavar="ID",
        help="video ids (16 hex digits), ids of a site (youtube:…), keys of clips, or a file with one a line",
    )
    parser.add_argument(
        "--urls",
        nargs="+",
        default=[],
        metavar="URL",
        help="URLs in any form, paths of video files, or a .txt file with one a line",
    )
    parser.add_argument(
        "--channel",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names or URLs of uploaders: all of their videos that are in DIR",
    )
    parser.add_argument("--reason", metavar="TEXT", help="why, as the tombstone will say; name no video in it")
    parser.add_argument("--dry-run", action="store_true", help="show what would go; change nothing")
    parser.add_argument(
        "--scratch",
        type=Path,
        metavar="DIR",
        help="the --scratch of the runs: its logs and leftovers are deleted",
    )
