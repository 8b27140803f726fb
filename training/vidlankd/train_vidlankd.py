"""The command `train-vidlankd`: from curated shards and a text corpus to a language model that a video teacher taught.

    train-vidlankd features --shards demo/shards --encoder vidla:demo/vidla/best --name vidla
    train-vidlankd tokenize --corpus wiki/*.txt --output tokens
    train-vidlankd teacher --shards demo/shards --features vidla --output teacher
    train-vidlankd student --teacher teacher/best --corpus tokens --output student
    train-vidlankd export --checkpoint student/best --output bert
    train-vidlankd evaluate --model bert --tasks sst2,mnli --data glue/ --output scores.json
    train-vidlankd ground --teacher teacher/best --shards demo/shards --features vidla --sentence "a bird takes off"

Nothing heavy is imported before a subcommand needs it: `train-vidlankd --help` answers at once.
Exit status: 0 done; 1 stopped by the machine or by a loss that is no number; 2 a mistake in what was asked; 130
interrupted; 143 stopped by a signal, with a checkpoint written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from training.command_line import asked_for, ended, print_settings, run_flags, settings_of
from training.vidlankd.arguments import PROGRAM, build_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit status."""
    arguments = build_parser().parse_args(argv)
    run = _COMMANDS[arguments.command]
    return ended(PROGRAM, lambda: run(arguments), resumable=arguments.command in ("teacher", "student"))


def _features(arguments: argparse.Namespace) -> int:
    from training.features.features_stage import FeaturesSettings

    flags = {name: getattr(arguments, name) for name in ("name", "encoder", "video", "originals", "device")}
    settings = settings_of(FeaturesSettings, arguments, flags)
    if arguments.print_config:
        return print_settings(settings)
    from training.features.features_stage import extract

    return extract(arguments.shards, settings, address=arguments.address, replace=arguments.replace)


def _tokenize(arguments: argparse.Namespace) -> int:
    from training.corpus.tokenize_corpus import TokenizeSettings

    flags = {name: getattr(arguments, name) for name in ("tokenizer", "block", "format", "encoding", "column")}
    settings = settings_of(TokenizeSettings, arguments, flags)
    if arguments.print_config:
        return print_settings(settings)
    from training.corpus.tokenize_corpus import tokenize

    print(tokenize(arguments.corpus or [], arguments.output, settings, shards=arguments.shards or []).text())
    return 0


def _teacher(arguments: argparse.Namespace) -> int:
    from training.vidlankd.vidlankd_settings import TEACHER, TeacherSettings, with_length

    flags = {
        "model": {"shape": arguments.size},
        "data": {
            "shards": arguments.shards,
            "features": arguments.features,
            "layers": {arguments.layer: 1.0} if arguments.layer else None,
        },
        **run_flags(arguments),
    }
    defaults = with_length(TEACHER, asked_for(arguments, flags).get("loop", {}))
    settings = settings_of(TeacherSettings, arguments, flags, defaults)
    if arguments.print_config:
        return print_settings(settings)
    from training.vidlankd.vidlankd_runs import run_teacher

    return run_teacher(settings, arguments.output, arguments.resume)


def _student(arguments: argparse.Namespace) -> int:
    from training.vidlankd.vidlankd_settings import STUDENT, StudentSettings, with_length

    flags = {
        "model": {"shape": arguments.size},
        "data": {"corpus": arguments.corpus, "valid": arguments.valid},
        "teacher": {"teacher": arguments.teacher},
        **run_flags(arguments),
    }
    asked = asked_for(arguments, flags)
    defaults = with_length(STUDENT, asked.get("loop", {}))
    if not asked.get("teacher", {}).get("teacher"):
        defaults = defaults | {"loss": {"nst": 0.0, "crd": 0.0}}  # the baselines: nobody to learn from
    settings = settings_of(StudentSettings, arguments, flags, defaults)
    if arguments.print_config:
        return print_settings(settings)
    from training.vidlankd.vidlankd_runs import run_student

    return run_student(settings, arguments.output, arguments.resume)


def _evaluate(arguments: argparse.Namespace) -> int:
    from training.evaluation.language.language_settings import LanguageSettings

    tasks = [name.strip() for name in arguments.tasks.split(",") if name.strip()] if arguments.tasks else None
    compute = {"device": arguments.device}
    flags = {"tasks": tasks, "data": arguments.data, "seeds": arguments.seeds, "compute": compute}
    settings = settings_of(LanguageSettings, arguments, flags)
    if arguments.print_config:
        return print_settings(settings)
    from training.evaluation.language.evaluate_language import evaluate_language

    return evaluate_language(arguments.model, settings, arguments.output)


def _ground(arguments: argparse.Namespace) -> int:
    from training.vidlankd.grounding.word_grounding import ground

    ground(
        arguments.sentence,
        teacher=arguments.teacher,
        student=arguments.student,
        shards=arguments.shards,
        features=arguments.features,
        output=arguments.output,
        top=arguments.top,
    )
    print(arguments.output)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from training.vidlankd.bert_export import export

    export(arguments.checkpoint, arguments.output)
    print(f"{arguments.output}: open it with transformers.AutoModel.from_pretrained({str(arguments.output)!r})")
    return 0


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "features": _features,
    "tokenize": _tokenize,
    "teacher": _teacher,
    "student": _student,
    "evaluate": _evaluate,
    "ground": _ground,
    "export": _export,
}


if __name__ == "__main__":
    sys.exit(main())
