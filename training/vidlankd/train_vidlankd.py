"""The command `train-vidlankd`: from curated shards and a text corpus to a distilled language model.

    train-vidlankd features --shards demo/shards --encoder vidla:demo/vidla/best --name vidla
    train-vidlankd tokenize --corpus wiki/*.txt --output tokens
    train-vidlankd teacher --shards demo/shards --features vidla --output teacher
    train-vidlankd student --teacher teacher/best --corpus tokens --output student
    train-vidlankd export --checkpoint student/best --output bert
    train-vidlankd evaluate --model bert --tasks sst2,mnli --data glue/ --output scores.json
    train-vidlankd ground --teacher teacher/best --shards demo/shards --features vidla --sentence "a bird takes off"

Nothing heavy is imported before a subcommand needs it: `train-vidlankd --help` answers at once.
Exit status: 0 done; 1 stopped by the machine or by a loss that is not finite; 2 a mistake in the arguments, settings or
input; 130 interrupted; 143 stopped by a signal after a checkpoint was written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from training.command_line import ended, parse
from training.vidlankd.commands.evaluate_command import EVALUATE
from training.vidlankd.commands.export_command import EXPORT
from training.vidlankd.commands.features_command import FEATURES
from training.vidlankd.commands.ground_command import GROUND
from training.vidlankd.commands.student_command import STUDENT_COMMAND
from training.vidlankd.commands.subcommand import Subcommand
from training.vidlankd.commands.teacher_command import TEACHER_COMMAND
from training.vidlankd.commands.tokenize_command import TOKENIZE

if TYPE_CHECKING:
    from runtime.settings import Settings

PROGRAM: Final = "train-vidlankd"

_SUBCOMMANDS: Final[Mapping[str, Subcommand]] = {
    command.name: command
    for command in (FEATURES, TOKENIZE, TEACHER_COMMAND, STUDENT_COMMAND, EXPORT, EVALUATE, GROUND)
}
"""Every subcommand, in the order of the recipe."""

_RECIPE: Final = """\
the recipe, in order:
  features   extract visual features of every root of a DIR, as a time series
  tokenize   turn text into memory-mapped blocks
  teacher    train a language tower and a video tower together on clips and their texts
  student    train a language model on text alone, distilled from the teacher's states
  export     write the student as a plain Hugging Face BERT folder
  evaluate   fine-tune it on language tasks and score it
  ground     show the clips nearest to each word of a sentence, for teacher and student, as a page

`train-vidlankd COMMAND --help` has examples. Works under torchrun (teacher, student).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status."""
    arguments = parse(build_parser(), argv, _settings_class)
    command = _SUBCOMMANDS[arguments.command]
    return ended(PROGRAM, lambda: command.run(arguments), resumable=command.resumable)


def _settings_class(arguments: argparse.Namespace) -> type[Settings] | None:
    """Return the class of a subcommand's settings; None if it has none."""
    from training.vidlankd.vidlankd_settings import StudentSettings, TeacherSettings

    classes: Mapping[str, type[Settings]] = {"teacher": TeacherSettings, "student": StudentSettings}
    return classes.get(arguments.command)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; it stores the subcommand's name in `command`."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train a video-language teacher and distil it into a language model that reads text alone.",
        epilog=_RECIPE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _SUBCOMMANDS.values():
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
