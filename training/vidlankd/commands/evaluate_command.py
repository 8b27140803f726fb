"""`train-vidlankd evaluate`: fine-tune a language model on tasks and score it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from runtime.errors import UserError, nearest
from training.command_line import add_settings_arguments, check_model, settings_of
from training.vidlankd.commands.subcommand import Subcommand, add_device

_EXAMPLES: Final = """\
examples:
  train-vidlankd evaluate --model bert --tasks sst2,qnli,qqp,mnli,diagnostics --data glue/ --output glue.json
  train-vidlankd evaluate --model hf://google-bert/bert-base-uncased --tasks squad1,swag,piqa,tracie --data tasks/
  train-vidlankd evaluate --model bert --data hub --set folders.diagnostics=glue/ --set folders.tracie=tracie/ \\
    --set every.lr=5e-5 --set recipes.qqp.epochs=2
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="FOLDER", help="an exported folder, or a model URI")
    parser.add_argument("--tasks", metavar="A,B", help="sst2,qnli,qqp,mnli,diagnostics,squad1,squad2,swag,piqa,tracie")
    parser.add_argument(
        "--data", metavar="DIR|hub", help="folder of published files, one folder per task (SST-2, …), or `hub`"
    )
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="one fine-tuning for each (default 0 1 2)")
    parser.add_argument("--output", type=Path, default=Path("language.json"), metavar="FILE", help="the report")
    add_device(parser)
    add_settings_arguments(parser)


def _run(arguments: argparse.Namespace) -> int:
    from training.evaluation.language.language_settings import LanguageSettings

    tasks = None if arguments.tasks is None else _task_names(arguments.tasks)
    compute = {"device": arguments.device}
    flags = {"tasks": tasks, "data": arguments.data, "seeds": arguments.seeds, "compute": compute}
    settings = settings_of(LanguageSettings, arguments, flags)
    if arguments.print_config:
        from runtime.settings_page import print_settings

        return print_settings(settings)
    check_model(arguments.model)
    from training.evaluation.language.tasks.task_data import check_sources
    from training.evaluation.score_files import check_writable

    check_sources(settings.needed_tasks, settings)
    check_writable(arguments.output)
    from training.evaluation.language.evaluate_language import evaluate_language

    return evaluate_language(arguments.model, settings, arguments.output)


def _task_names(text: str) -> list[str]:
    """Return the names of `--tasks`.

    Raises:
        UserError: it names no task, one that does not exist, or one twice.
    """
    from training.evaluation.language.tasks.task_registry import TASK_NAMES

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"--tasks {text!r}: names no task; choose from {','.join(TASK_NAMES)}, or leave it out for all")
    for name in names:
        if name not in TASK_NAMES:
            hint = nearest(name, TASK_NAMES)
            raise UserError(f"--tasks {text}: there is no task {name}{hint}; choose from {','.join(TASK_NAMES)}")
        if names.count(name) > 1:
            raise UserError(f"--tasks {text}: {name} is named twice; name it once")
    return names


EVALUATE: Final = Subcommand("evaluate", "fine-tune and score on tasks", _add_arguments, _run, _EXAMPLES)
