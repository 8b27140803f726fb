"""Arguments of `curate clean-of`; imports nothing, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

EXAMPLES: Final = """\
examples:
  curate clean-of out --benchmark msrvtt --annotations MSRVTT_JSFUSION_test.csv MSRVTT_data.json
      clips of videos that the benchmark uses, and clips whose texts hold its captions
  curate clean-of out --benchmark msvd --annotations test_list.txt --videos YouTubeClips --perceptual demo
      by their pictures as well, with the frame hashes of scores/demo
  curate clean-of out --benchmark msvd --annotations test_list.txt --videos msvd-curated --vectors demo.clip
      by their vectors as well: msvd-curated is a DIR that `curate run` made of the benchmark's videos
  curate select out --name clean --clean-of msrvtt,msvd
      a selection without the clips that match
"""


def add_clean_of(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of `curate clean-of`."""
    parser.add_argument("--benchmark", required=True, metavar="NAME", help="as for eval-vidla: msrvtt, msvd, …")
    parser.add_argument(
        "--annotations", required=True, nargs="+", type=Path, metavar="FILE", help="published files; a list chooses"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="table to write: contamination/NAME.parquet (default: benchmark)"
    )
    parser.add_argument(
        "--videos", type=Path, metavar="DIR", help="videos of the benchmark: files, or a DIR curated from them"
    )
    parser.add_argument(
        "--perceptual", metavar="SET", help="score set of the frame hashes (default: the only one that has some)"
    )
    parser.add_argument("--vectors", metavar="SET.COLUMN", help="vectors to compare; needs a curated DIR as --videos")
    parser.add_argument("--threshold", type=float, metavar="COS", help="least cosine of a match (default 0.95)")
    parser.add_argument("--layer", metavar="NAME", help="text layer to look for captions in (default: all)")
    parser.add_argument("--words", type=int, metavar="N", help="words in a row that match a caption (default 8)")
    parser.add_argument("--seconds", type=float, metavar="S", help="least length of shared pictures (default 3)")
