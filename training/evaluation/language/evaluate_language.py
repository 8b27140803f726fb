"""The language evaluation: open the model, read the data, fine-tune once per task and seed, write the report.

    status = evaluate_language("path:///runs/student/export", LanguageSettings(tasks=("sst2",), data="glue"), output)

The report is written after each fine-tuning; a second call with the same output computes only what is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from rich.console import Console

from runtime.errors import UserError
from runtime.file_lock import exclusive_lock
from runtime.models import model_uri
from runtime.progress_bar import progress_bar
from runtime.settings import content_hash
from training.engine.parallel.distributed import init_ranks
from training.engine.precision import choose_precision
from training.evaluation.language.language_report import (
    FORMAT,
    EvaluatedModel,
    LanguageReport,
    SeedResult,
    SplitSource,
    TaskReport,
    TaskSources,
    collapse,
    finite,
    read_report,
    show_report,
)
from training.evaluation.language.language_settings import LanguageSettings
from training.evaluation.language.pretrained_model import check_model, describe
from training.evaluation.language.task_finetuning import FineTunedModel, finetune
from training.evaluation.language.task_scores import constant_answer_score, score_splits
from training.evaluation.language.tasks.task_data import TaskSplits, check_sources, read_task
from training.evaluation.language.tasks.task_registry import LANGUAGE_TASKS, TaskName, training_task
from training.evaluation.score_files import check_writable

DONE: Final = 0
"""Exit status of a finished evaluation."""


@dataclass(frozen=True)
class _FineTuning:
    """One fine-tuning, and the tasks that are scored with its model."""

    trained: TaskName
    seed: int
    scored: tuple[TaskName, ...]


@dataclass(frozen=True)
class _Evaluation:
    """All that the fine-tunings of one call share."""

    folder: Path
    """Folder of the model."""
    model: EvaluatedModel
    data: dict[TaskName, TaskSplits]
    settings: LanguageSettings
    device: torch.device

    def key(self, name: TaskName, seed: int) -> str:
        """Return the hash of all that a result depends on; equal keys mean equal results."""
        settings = self.settings
        train = self.data[training_task(name).name].train
        identities = [train.identity, {split: examples.identity for split, examples in self.data[name].scored.items()}]
        return content_hash(
            FORMAT,
            self.model.revision,
            name,
            seed,
            settings.recipe(name).content(),
            identities,
            settings.compute.content(),
            settings.collapse_margin,
        )


def evaluate_language(model: str, settings: LanguageSettings, output: Path, *, console: Console | None = None) -> int:
    """Fine-tune a model on language tasks, score it, write the report and print its table.

    Args:
        model: a folder in transformers' format (`train-vidlankd export` writes one), or a model URI.
        settings: tasks, data, seeds, recipes.
        output: the JSON report; results in it of the same model, recipe and data are kept and not computed again.
        console: console for the table; None: standard output.

    Returns:
        Exit status: 0.

    Raises:
        UserError: the model, the data or the output can't be used; nearly always raised before any training.
    """
    device = _device(settings.compute.device)
    settings = _with_precision(settings, device)
    check_writable(output)
    check_sources(settings.needed_tasks, settings)
    taken = f"--output {output}: another `train-vidlankd evaluate` is writing there; wait for it, or name another file"
    with exclusive_lock(Path(f"{output}.lock"), taken):  # a report is read once and then written whole
        report = _evaluate(model, settings, output, device)
    show_report(report, console or Console())
    return DONE


def _evaluate(model: str, settings: LanguageSettings, output: Path, device: torch.device) -> LanguageReport:
    """Return the complete report; it is written after each fine-tuning."""
    folder, described = _open_model(model)
    for name in settings.tasks:
        check_model(folder, settings.recipe(name))
    data = {name: read_task(name, settings) for name in settings.needed_tasks}
    evaluation = _Evaluation(folder, described, data, settings, device)
    report = _kept(evaluation, output)
    missing = _missing(report, settings)
    for number, job in enumerate(missing, start=1):
        title = f"[{number}/{len(missing)}] {LANGUAGE_TASKS[job.trained].title}, seed {job.seed}"
        report = _with_results(report, _run(evaluation, job, title))
        report.write(output, settings.content())
    report.write(output, settings.content())
    return report


def _device(asked: str | None) -> torch.device:
    """Return the one device to use: transformers' `Trainer` knows the CPU and the first visible GPU.

    Raises:
        UserError: several ranks, or another GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("evaluate runs in one process on one device; start it without torchrun")
    device = init_ranks(asked).device
    if device.index:
        raise UserError(
            f"compute.device={asked}: this command uses the first GPU; set CUDA_VISIBLE_DEVICES={device.index} and "
            "device=cuda"
        )
    return device


def _with_precision(settings: LanguageSettings, device: torch.device) -> LanguageSettings:
    """Return the settings with `auto` replaced by the precision used here, because scores depend on it."""
    bf16 = choose_precision(settings.compute.precision, device).dtype == torch.bfloat16
    compute = settings.compute.model_copy(update={"precision": "bf16" if bf16 else "fp32"})
    return settings.model_copy(update={"compute": compute})


def _open_model(model: str) -> tuple[Path, EvaluatedModel]:
    uri = model if "://" in model else f"path://{Path(model).absolute()}"
    resolved = model_uri.resolve(uri)
    folder = Path(resolved.path)
    if not folder.is_dir():
        raise UserError(f"model {model!r}: not a folder")
    return folder, EvaluatedModel(model, resolved.revision, describe(folder))


def _kept(evaluation: _Evaluation, output: Path) -> LanguageReport:
    """Return the report with the results that the output file already has; these are never overwritten by others.

    Raises:
        UserError: the file has results of another model, or of a task of these settings with another recipe or data.
    """
    model, settings = evaluation.model, evaluation.settings
    earlier = read_report(output) or LanguageReport(model, {})
    if earlier.model.revision != model.revision:
        raise UserError(f"--output {output}: holds scores of another model ({earlier.model.name}); name another file")
    tasks: dict[TaskName, TaskReport] = dict(earlier.tasks)
    for name in settings.tasks:
        task = LANGUAGE_TASKS[name]
        before = tasks[name].results if name in tasks else ()
        for result in before:
            if result.key != evaluation.key(name, result.seed):
                raise UserError(
                    f"--output {output}: holds {task.title} of seed {result.seed} with another recipe or other data; "
                    "name another file"
                )
        recipe = settings.recipe(name).content()
        tasks[name] = TaskReport(name, task.title, task.main, recipe, _described(name, evaluation.data), before)
    return LanguageReport(model, tasks)


def _described(name: TaskName, data: dict[TaskName, TaskSplits]) -> TaskSources:
    """Return files, counts and identities of the splits that a task is trained on and scored by."""
    trained = data[training_task(name).name]
    splits = {"train": trained.train, **data[name].scored}
    sources = {
        split: SplitSource(len(examples), list(examples.files), examples.identity) for split, examples in splits.items()
    }
    return TaskSources(sources, list(dict.fromkeys((*trained.notes, *data[name].notes))))


def _missing(report: LanguageReport, settings: LanguageSettings) -> list[_FineTuning]:
    """Return the fine-tunings still to do; tasks that are scored with the same model share one."""
    jobs: dict[tuple[TaskName, int], list[TaskName]] = {}
    for name in settings.tasks:
        done = {result.seed for result in report.tasks[name].results}
        for seed in settings.seeds:
            if seed not in done:
                jobs.setdefault((training_task(name).name, seed), []).append(name)
    return [_FineTuning(trained, seed, tuple(scored)) for (trained, seed), scored in jobs.items()]


def _run(evaluation: _Evaluation, job: _FineTuning, title: str) -> list[SeedResult]:
    """Fine-tune once and score the tasks of this job."""
    print(title, file=sys.stderr, flush=True)
    with progress_bar(title) as advance:
        tuned = finetune(
            evaluation.folder,
            LANGUAGE_TASKS[job.trained],
            evaluation.data[job.trained].train.examples,
            evaluation.settings.recipe(job.trained),
            seed=job.seed,
            compute=evaluation.settings.compute,
            device=evaluation.device,
            advance=advance,
        )
    return [_result(evaluation, tuned, name, job.seed) for name in job.scored]


def _result(evaluation: _Evaluation, tuned: FineTunedModel, name: TaskName, seed: int) -> SeedResult:
    task, splits = LANGUAGE_TASKS[name], evaluation.data[name].scored
    scores, categories = score_splits(tuned, task, splits)
    floor = constant_answer_score(task, next(iter(splits.values())))
    course = tuned.course
    margin = evaluation.settings.collapse_margin
    flags = collapse(scores, task.main, floor, margin, course.first_loss, course.last_loss)
    return SeedResult(
        name,
        seed,
        evaluation.key(name, seed),
        scores,
        floor,
        course.steps,
        finite(course.first_loss),
        finite(course.last_loss),
        course.seconds,
        flags,
        categories,
    )


def _with_results(report: LanguageReport, results: Sequence[SeedResult]) -> LanguageReport:
    tasks = dict(report.tasks)
    for result in results:
        own = tasks[result.task]
        merged = tuple(sorted((*own.results, result), key=lambda each: each.seed))
        tasks[result.task] = replace(own, results=merged)
    return replace(report, tasks=tasks)
