"""Arguments of `curate select`; imports nothing, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

EXAMPLES: Final = """\
examples:
  curate select out
      list the selections, and those that are out of date
  curate select out --name clear --where "keep and grounding_score > 0.8" --where "motion > 0.01"
  curate select out --name free --licence "CC*,*creative commons*" --dedup all --clean-of msrvtt,didemo
  curate select out --name best --top 100000:match
      the clips with the largest values; N:COLUMN:smallest takes those with the smallest
  curate select out --name even --balance video_uploader:200 --sample 0.1:video
      at most 200 clips of an uploader, then a tenth of the videos
  curate select out --name clear
      make it again by its own recipe, after shards were added or texts have changed
  curate select out --print-recipe clear > clear.yaml
  curate select other --name clear --recipe clear.yaml
"""


def add_select(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of `curate select`; `dir` is there already."""
    parser.add_argument("--name", metavar="NAME", help="selection to write; alone: make it again by its own recipe")
    parser.add_argument("--refresh", action="store_true", help="make all selections that are out of date again")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="conditions from a YAML file")
    parser.add_argument("--print-recipe", metavar="NAME", help="print the recipe of a selection as YAML, and stop")
    parser.add_argument("--layer", metavar="NAME", help="text layer (default: the only one)")
    where = parser.add_argument_group("conditions, in the order in which they apply")
    where.add_argument(
        "--from", metavar="SELECTION", dest="base", help="choose among the clips of this one (default: the layer's)"
    )
    where.add_argument(
        "--licence",
        action="append",
        metavar="PATTERN,…",
        help="licences to keep, with * and ?; a clip without a licence is left out; repeatable",
    )
    where.add_argument(
        "--clean-of",
        action="append",
        metavar="NAME,…",
        help="leave out the clips in these tables of contamination; repeatable",
    )
    where.add_argument(
        "--where",
        action="append",
        metavar="SQL",
        help="DuckDB's SQL over the columns of texts, media, videos, the manifest and scores; repeatable",
    )
    where.add_argument("--dedup", metavar="NAME", help="keep one clip of each group in this table of duplicates")
    where.add_argument("--balance", metavar="COLUMN:N", help="keep at most N clips of each value, drawn by hash")
    where.add_argument("--top", metavar="N:COLUMN", help="keep the N clips with the largest (:smallest) values")
    where.add_argument(
        "--sample", metavar="N|SHARE", help="keep N clips or a share, drawn by hash; with :video whole videos"
    )
    where.add_argument("--seed", type=int, metavar="N", help="another number draws other clips (default 0)")
    where.add_argument(
        "--val-percent", type=float, metavar="P", help="share of videos held out (default: the splits of --from)"
    )
