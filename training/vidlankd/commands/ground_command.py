"""`train-vidlankd ground`: write a page with the clips that are nearest to each word of a sentence."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from training.vidlankd.commands.subcommand import Subcommand, add_shards

_EXAMPLES: Final = """\
examples:
  train-vidlankd ground --teacher teacher/best --student student/best --shards /data/out --features resnet \\
    --sentence "a man pours water into a glass" --output ground.html
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", required=True, type=Path, metavar="FOLDER", help="a trained teacher")
    parser.add_argument("--student", type=Path, metavar="FOLDER", help="a trained student, to compare with the teacher")
    add_shards(parser)
    parser.add_argument("--selection", metavar="NAME", help="selection of clips (default: that of the text layer)")
    parser.add_argument("--features", required=True, metavar="NAME", help="the teacher's feature set")
    parser.add_argument("--sentence", required=True, action="append", metavar="TEXT", help="a sentence; repeatable")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="clips for each word (default 5)")
    parser.add_argument("--output", type=Path, default=Path("ground.html"), metavar="FILE", help="the page")


def _run(arguments: argparse.Namespace) -> int:
    from training.vidlankd.grounding.word_grounding import ground

    ground(
        arguments.sentence,
        teacher=arguments.teacher,
        student=arguments.student,
        shards=arguments.shards,
        features=arguments.features,
        output=arguments.output,
        top=arguments.top,
        selection=arguments.selection,
    )
    print(arguments.output)
    return 0


GROUND: Final = Subcommand("ground", "the clips nearest to each word, as a page", _add_arguments, _run, _EXAMPLES)
