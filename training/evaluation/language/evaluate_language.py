"""The language evaluation, top to bottom: model, data, one fine-tuning a task and seed, report.

    status = evaluate_language("path:///runs/student/export", LanguageSettings(tasks=("sst2",), data="glue"), output)

After each fine-tuning the report is written; a second call with the same output goes on with what is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console

from runtime.errors import UserError
from runtime.file_lock import exclusive_lock
from runtime.models import model_uri
from runtime.progress_bar import progress_bar
from runtime.settings import content_hash
from training.engine.distributed import init_ranks
from training.engine.precision import choose_precision
from training.evaluation.language.answer_spans import best_answers
from training.evaluation.language.language_metrics import (
    Scores,
    choice_scores,
    constant_score,
    diagnostic_scores,
    pair_scores,
    squad_scores,
)
from training.evaluation.language.language_report import (
    FORMAT,
    Report,
    SeedResult,
    TaskReport,
    collapse,
    finite,
    read_report,
    show,
)
from training.evaluation.language.language_settings import LanguageSettings
from training.evaluation.language.pretrained_model import check_model, describe
from training.evaluation.language.task_finetuning import Tuned, finetune
from training.evaluation.language.tasks.task_data import TaskData, check_places, read_task
from training.evaluation.language.tasks.task_examples import Labelled, Question, Split
from training.evaluation.language.tasks.task_registry import ENTRIES, TaskName
from training.evaluation.score_files import check_writable

DONE: Final = 0
"""Exit status of a finished evaluation."""


@dataclass(frozen=True)
class _Job:
    """One fine-tuning, and the tasks that are scored by it."""

    trained: TaskName
    seed: int
    scored: tuple[TaskName, ...]


def evaluate_language(model: str, settings: LanguageSettings, output: Path, *, console: Console | None = None) -> int:
    """Fine-tune a model on language tasks, score it, write the report and print its table.

    Args:
        model: a folder in transformers' format (`train-vidlankd export` writes one), or a model URI.
        settings: tasks, data, seeds, recipes.
        output: the JSON report; results in it of the same model, recipe and data are kept and not computed again.
        console: where the table goes; None: standard output.

    Returns:
        Exit status: 0.

    Raises:
        UserError: the model, the data or the output can't be used; nearly all of it is found before any training.
    """
    device = _device(settings.compute.device)
    settings = _with_arithmetic(settings, device)
    check_writable(output)
    check_places(_needed(settings.tasks), settings)
    taken = f"--output {output}: another `train-vidlankd evaluate` is writing there; wait for it, or name another file"
    with exclusive_lock(Path(f"{output}.lock"), taken):  # a report is read once and then written whole
        report = _evaluated(model, settings, output, device)
    show(report, console or Console())
    return DONE


def _evaluated(model: str, settings: LanguageSettings, output: Path, device: torch.device) -> Report:
    """The report after all that it lacked was done; written after each fine-tuning."""
    folder, described = _open_model(model)
    for name in settings.tasks:
        check_model(folder, settings.recipe(name))
    data = {name: read_task(name, settings) for name in _needed(settings.tasks)}
    report = _kept(described, settings, data, output)
    jobs = _jobs(report, settings)
    for number, job in enumerate(jobs, start=1):
        title = f"[{number}/{len(jobs)}] {ENTRIES[job.trained].title}, seed {job.seed}"
        report = _with_results(report, _run(folder, job, data, settings, described["revision"], device, title))
        report.write(output, settings.content())
    report.write(output, settings.content())
    return report


def _device(asked: str | None) -> torch.device:
    """The one device: transformers' `Trainer` knows the processor and the first GPU that is visible."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("evaluate runs in one process on one device; start it without torchrun")
    device = init_ranks(asked).device
    if device.index:
        raise UserError(
            f"compute.device={asked}: this command uses the first GPU; set CUDA_VISIBLE_DEVICES={device.index} and "
            "device=cuda"
        )
    return device


def _with_arithmetic(settings: LanguageSettings, device: torch.device) -> LanguageSettings:
    """The settings with the precision that is meant by `auto` here: scores of another are not the same."""
    bf16 = choose_precision(settings.compute.precision, device).dtype == torch.bfloat16
    compute = settings.compute.model_copy(update={"precision": "bf16" if bf16 else "fp32"})
    return settings.model_copy(update={"compute": compute})


def _open_model(model: str) -> tuple[Path, dict[str, Any]]:
    """The model's folder, and what the report says of it."""
    uri = model if "://" in model else f"path://{Path(model).absolute()}"
    found = model_uri.resolve(uri)
    folder = Path(found.path)
    if not folder.is_dir():
        raise UserError(f"model {model!r}: not a folder")
    return folder, {"name": model, "revision": found.revision, "architecture": describe(folder)}


def _trained_on(name: TaskName) -> TaskName:
    return "mnli" if name == "diagnostics" else name


def _needed(tasks: Sequence[TaskName]) -> list[TaskName]:
    """The tasks whose data is read: those asked for, and what they are trained on."""
    return list(dict.fromkeys(name for task in tasks for name in (task, _trained_on(task))))


def _kept(
    described: dict[str, Any], settings: LanguageSettings, data: dict[TaskName, TaskData], output: Path
) -> Report:
    """The report as far as the output file has it; nothing in it is ever overwritten by other results.

    Raises:
        UserError: the file has results of another model, or of a task of these settings that were made otherwise.
    """
    earlier = read_report(output) or Report(described, {})
    if earlier.model["revision"] != described["revision"]:
        raise UserError(
            f"--output {output}: holds scores of another model ({earlier.model['name']}); name another file"
        )
    tasks: dict[TaskName, TaskReport] = dict(earlier.tasks)
    for name in settings.tasks:
        before = tasks[name].results if name in tasks else ()
        for result in before:
            if result.key != _key(described["revision"], name, result.seed, settings, data):
                raise UserError(
                    f"--output {output}: holds {ENTRIES[name].title} of seed {result.seed} with another recipe or "
                    "other data; name another file"
                )
        tasks[name] = TaskReport(
            name,
            ENTRIES[name].title,
            ENTRIES[name].main,
            settings.recipe(name).content(),
            _described(name, data),
            before,
        )
    return Report(described, tasks)


def _described(name: TaskName, data: dict[TaskName, TaskData]) -> dict[str, Any]:
    """Files, counts and identities of what a task is trained on and scored by."""
    train, scored = data[_trained_on(name)].train, data[name].scored
    splits = {"train": train, **scored}
    notes = dict.fromkeys((*data[_trained_on(name)].notes, *data[name].notes))
    return {
        "splits": {
            split: {"examples": len(found), "files": list(found.files), "identity": found.identity}
            for split, found in splits.items()
        },
        "notes": list(notes),
    }


def _key(revision: str, name: TaskName, seed: int, settings: LanguageSettings, data: dict[TaskName, TaskData]) -> str:
    identities = [data[_trained_on(name)].train.identity, {n: s.identity for n, s in data[name].scored.items()}]
    compute = settings.compute.content()
    margin = settings.collapse_margin
    return content_hash(FORMAT, revision, name, seed, settings.recipe(name).content(), identities, compute, margin)


def _jobs(report: Report, settings: LanguageSettings) -> list[_Job]:
    """What is still to be done; tasks that share a fine-tuning share a job."""
    jobs: dict[tuple[TaskName, int], list[TaskName]] = {}
    for name in settings.tasks:
        done = {result.seed for result in report.tasks[name].results}
        for seed in settings.seeds:
            if seed not in done:
                jobs.setdefault((_trained_on(name), seed), []).append(name)
    return [_Job(trained, seed, tuple(scored)) for (trained, seed), scored in jobs.items()]


def _run(
    folder: Path,
    job: _Job,
    data: dict[TaskName, TaskData],
    settings: LanguageSettings,
    revision: str,
    device: torch.device,
    title: str,
) -> list[SeedResult]:
    print(title, file=sys.stderr, flush=True)
    with progress_bar(title) as advance:
        tuned = finetune(
            folder,
            ENTRIES[job.trained],
            data[job.trained].train.examples,
            settings.recipe(job.trained),
            seed=job.seed,
            compute=settings.compute,
            device=device,
            advance=advance,
        )
    return [
        _scored(tuned, name, job.seed, data[name].scored, settings, _key(revision, name, job.seed, settings, data))
        for name in job.scored
    ]


def _scored(
    tuned: Tuned, name: TaskName, seed: int, splits: dict[str, Split], settings: LanguageSettings, key: str
) -> SeedResult:
    scores: Scores = {}
    categories: dict[str, Scores] = {}
    for number, (split, found) in enumerate(splits.items()):
        own, by_tag = _scores(tuned, name, found)
        scores.update(own if number == 0 else {f"{split}_{score}": value for score, value in own.items()})
        categories.update(by_tag)
    floor = _floor(name, next(iter(splits.values())))
    training, main = tuned.training, ENTRIES[name].main
    flags = collapse(scores, main, floor, settings.collapse_margin, training.first_loss, training.last_loss)
    first, last = finite(training.first_loss), finite(training.last_loss)
    return SeedResult(name, seed, key, scores, floor, training.steps, first, last, training.seconds, flags, categories)


def _scores(tuned: Tuned, name: TaskName, split: Split) -> tuple[Scores, dict[str, Scores]]:
    """Scores of one split, and by category where the task has them."""
    questions = [example for example in split.examples if isinstance(example, Question)]
    if questions:
        answers = best_answers(questions, *tuned.spans(questions), may_abstain=name == "squad2")
        return squad_scores(questions, answers), {}
    logits = torch.from_numpy(tuned.logits(split.examples)).float()
    if name == "diagnostics":
        return diagnostic_scores(logits, [example for example in split.examples if isinstance(example, Labelled)])
    score = pair_scores if name == "qqp" else choice_scores
    return score(logits, torch.tensor(_labels(split))), {}


def _floor(name: TaskName, split: Split) -> float:
    """What answering the same always would earn on a task's main score, in percent."""
    if name == "diagnostics":
        return 0.0
    questions = [example for example in split.examples if isinstance(example, Question)]
    if questions:  # never an answer: right for every question that has none
        return 100 * sum(not question.answers for question in questions) / len(questions)
    return constant_score(_labels(split))


def _labels(split: Split) -> list[int]:
    return [example.label for example in split.examples if not isinstance(example, Question)]


def _with_results(report: Report, found: Sequence[SeedResult]) -> Report:
    tasks = dict(report.tasks)
    for result in found:
        own = tasks[result.task]
        results = tuple(sorted((*own.results, result), key=lambda each: each.seed))
        tasks[result.task] = replace(own, results=results)
    return replace(report, tasks=tasks)
