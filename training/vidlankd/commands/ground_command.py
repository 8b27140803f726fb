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
    parser.add_argument(
        "--select", metavar="NAME", dest="selection", help="selection of clips (default: that of the text layer)"
    )
    parser.add_argument("--features", required=True, metavar="NAME", help="the teacher's feature set")
    parser.add_argument("--sentence", required=True, action="append", metavar="TEXT", help="a sentence; repeatable")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="clips for each word (default 5)")
    parser.add_argument("--output", type=Path, default=Path("ground.html"), metavar="FILE", help="the page")


def _run(arguments: argparse.Namespace) -> int:
    _check(arguments)
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


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what can't be used, before torch is imported."""
    from runtime.errors import UserError
    from training.engine.checkpoints.model_config import read_config
    from training.evaluation.score_files import check_writable
    from training.features.feature_store import FeatureStore
    from training.models.vidlankd.kd_model_formats import STUDENT_FORMAT, TEACHER_FORMAT

    if arguments.top < 1:
        raise UserError(f"--top {arguments.top}: must be at least 1")
    read_config(arguments.teacher, TEACHER_FORMAT)
    if arguments.student is not None:
        read_config(arguments.student, STUDENT_FORMAT)
    FeatureStore.open(arguments.shards, arguments.features)
    check_writable(arguments.output)


GROUND: Final = Subcommand("ground", "the clips nearest to each word, as a page", _add_arguments, _run, _EXAMPLES)
