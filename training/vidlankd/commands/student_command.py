"""`train-vidlankd student`: train a language model on text, with a teacher's states beside it or alone."""

from __future__ import annotations

import argparse
from typing import Final

from training.command_line import (
    add_run_arguments,
    asked_for,
    check_model,
    check_run_folder,
    check_writable,
    run_flags,
    settings_of,
)
from training.vidlankd.commands.subcommand import Subcommand, add_size

_EXAMPLES: Final = """\
examples:
  train-vidlankd student --teacher teacher/best --corpus wiki --output student
  train-vidlankd student --corpus wiki --output baseline
      text alone, for as many steps
  train-vidlankd student --corpus wiki captions --output control
      text and the texts of the clips, no teacher
  train-vidlankd student --teacher teacher/best --corpus wiki --output nst --set loss.crd=0
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", nargs="+", metavar="DIR", help="folders that `train-vidlankd tokenize` wrote")
    parser.add_argument("--valid", metavar="DIR", help="corpus to score on (default: the end of each training corpus)")
    parser.add_argument("--teacher", metavar="FOLDER", help="a trained teacher (RUN/best); without it: text alone")
    add_size(parser)
    add_run_arguments(parser, "vidlankd-student", "blocks", 256, "500,000")


def _run(arguments: argparse.Namespace) -> int:
    from training.vidlankd.vidlankd_settings import STUDENT, TEXT_ALONE, StudentSettings, check_positions

    flags = {
        "model": {"shape": arguments.size},
        "data": {"corpus": arguments.corpus, "valid": arguments.valid},
        "teacher": {"teacher": arguments.teacher},
        **run_flags(arguments),
    }
    asked = asked_for(arguments, flags)
    has_teacher = bool(asked.get("teacher", {}).get("teacher"))
    defaults = (STUDENT if has_teacher else TEXT_ALONE).below(asked)
    settings = settings_of(StudentSettings, arguments, flags, defaults)
    if arguments.print_config:
        from runtime.settings_page import print_settings

        return print_settings(settings)
    check_run_folder(arguments.output, arguments.resume)
    if settings.teacher.teacher:
        check_model(settings.teacher.teacher)
    from training.corpus.open_corpora import open_corpora
    from training.engine.checkpoints.model_config import local_folder, read_config
    from training.models.vidlankd.kd_model_formats import TEACHER_FORMAT

    corpora, _ = open_corpora(settings.data)
    check_positions(settings, corpora[0].length)
    if settings.teacher.teacher:
        read_config(local_folder(settings.teacher.teacher), TEACHER_FORMAT)
    check_writable(arguments.output)
    from training.vidlankd.vidlankd_runs import run_student

    return run_student(settings, arguments.output, arguments.resume)


STUDENT_COMMAND: Final = Subcommand(
    "student", "train a language model", _add_arguments, _run, _EXAMPLES, resumable=True
)
