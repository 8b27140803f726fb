"""The report of the language evaluation: every seed, means with and without collapsed seeds, JSON, and a table.

A seed is flagged as collapsed if its score is no better than that of a constant answer, or if its training loss did
not fall. It is never left out silently: both means are reported side by side.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from runtime.errors import UserError
from training.evaluation.language.tasks.task_registry import LANGUAGE_TASKS, TASK_NAMES, TaskName
from training.evaluation.published_scores import LANGUAGE, LANGUAGE_CONDITIONS, LANGUAGE_SPREAD, PublishedRow
from training.evaluation.score_files import write_json

FORMAT: Final = 3
"""Version of the file; raised when the same settings would give other scores, or the file's form changes."""

COLUMNS: Final = (
    "this model: mean and standard deviation of all seeds; sound seeds: of those that did not collapse; constant: "
    "score of always giving the same answer; seeds: their number, in parentheses the number that collapsed"
)
"""Explanation of the table's columns."""


@dataclass(frozen=True)
class ModelSize:
    """Type and size of a model; None for values that its configuration lacks."""

    type: str | None = None
    layers: int | None = None
    width: int | None = None
    vocabulary: int | None = None


@dataclass(frozen=True)
class EvaluatedModel:
    """The model of a report."""

    name: str
    """Folder or URI, as given."""
    revision: str
    architecture: ModelSize = ModelSize()


@dataclass(frozen=True)
class SplitSource:
    """Size and origin of one split."""

    examples: int
    """Number of examples."""
    files: list[str]
    identity: str
    """See `Split.identity`."""


@dataclass(frozen=True)
class TaskSources:
    """Splits that a task is trained on and scored by."""

    splits: dict[str, SplitSource]
    notes: list[str]
    """Remarks on the data."""


@dataclass(frozen=True)
class SeedResult:
    """Scores of one fine-tuning on one task."""

    task: TaskName
    seed: int
    key: str
    """Hash of model, recipe, data and seed: equal keys mean equal results."""
    scores: dict[str, float]
    """Percent; those of the task's first split have plain names, those of others are named ``split_name``."""
    floor: float
    """Main score in percent of always giving the same answer."""
    steps: int
    first_loss: float | None
    """None if it was not finite."""
    last_loss: float | None
    """None if it was not finite."""
    seconds: float
    collapsed: tuple[str, ...] = ()
    """Reasons why the seed is flagged as collapsed; empty: it is not."""
    categories: dict[str, dict[str, float]] = field(default_factory=dict)
    """Scores of the diagnostic set by category."""


@dataclass(frozen=True)
class SeedSpread:
    """Mean and sample standard deviation over seeds."""

    seeds: int
    mean: float | None
    std: float | None
    """None for fewer than two seeds."""


@dataclass(frozen=True)
class TaskReport:
    """All seeds of a task."""

    task: TaskName
    title: str
    main: str
    """Name of the score that `all` and `sound` summarize."""
    recipe: dict[str, Any]
    """Settings of `FineTuningRecipe`."""
    data: TaskSources
    results: tuple[SeedResult, ...]

    @property
    def all(self) -> SeedSpread:
        """SeedSpread over every seed."""
        return _spread([result.scores[self.main] for result in self.results])

    @property
    def sound(self) -> SeedSpread:
        """SeedSpread over the seeds that did not collapse."""
        return _spread([result.scores[self.main] for result in self.results if not result.collapsed])


@dataclass(frozen=True)
class LanguageReport:
    """Scores of one model on several tasks."""

    model: EvaluatedModel
    tasks: dict[TaskName, TaskReport]

    def write(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Write the report as JSON; the file is replaced at once.

        Raises:
            UserError: the file can't be written.
        """
        tasks = {
            name: {**asdict(report), "all": asdict(report.all), "without_collapsed": asdict(report.sound)}
            for name, report in self.tasks.items()
        }
        rows = [{"model": row.model, "source": row.source, "scores": row.scores} for row in LANGUAGE]
        write_json(
            path,
            {
                "format": FORMAT,
                "model": asdict(self.model),
                "settings": settings,
                "tasks": tasks,
                "published": {"conditions": LANGUAGE_CONDITIONS, "rows": rows},
            },
        )


def read_report(path: Path) -> LanguageReport | None:
    """Return the report that an earlier call wrote; None if there is no file, or an empty one.

    Raises:
        UserError: the file holds something else.
    """
    if not path.is_file() or not path.stat().st_size:
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise UserError(f"--output {path}: of another version (format {values['format']}); name another file")
        model = TypeAdapter(EvaluatedModel).validate_python(values["model"])
        report = LanguageReport(model, _task_reports(values["tasks"]))
        if not all(task.main in result.scores for task in report.tasks.values() for result in task.results):
            raise ValueError("a result lacks its main score")
        return report
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
        raise UserError(f"--output {path}: holds something else than a language report; name another file") from None


def collapse(
    scores: Mapping[str, float], main: str, floor: float, margin: float, first: float, last: float
) -> tuple[str, ...]:
    """Return the reasons why a seed counts as collapsed; empty if it does not.

    Args:
        scores: percent.
        main: name of the score to judge by.
        floor: percent of a constant answer.
        margin: percent above `floor` that a model must exceed.
        first: training loss at the start.
        last: training loss at the end.
    """
    reasons = []
    if not scores[main] > floor + margin:
        reasons.append(f"{main} {scores[main]:.1f} is not {margin:g} above {floor:.1f}, the score of a constant answer")
    if not last < first:
        reasons.append(f"the training loss did not fall ({first:.4g} to {last:.4g})")
    return tuple(reasons)


def finite(value: float) -> float | None:
    """Return a loss, or None if it is not finite, which JSON can't hold."""
    return value if math.isfinite(value) else None


def show_report(report: LanguageReport, console: Console) -> None:
    """Print published scores beside this model's means, then every collapsed seed and the remarks on the data."""
    names = [name for name in TASK_NAMES if name in report.tasks and report.tasks[name].results]
    console.print(f"{report.model.name}: language tasks, fine-tuned; percent", markup=False, highlight=False)
    rows = [row for row in LANGUAGE if any(name in row.scores for name in names)]
    console.print(_means(report, names, rows))
    for number, row in enumerate(rows, start=1):
        console.print(f"[{number}] {row.model}: {row.source}", markup=False, highlight=False, soft_wrap=True)
    if "diagnostics" in names:
        console.print(_categories(report.tasks["diagnostics"]))
    for note in (COLUMNS, *((LANGUAGE_CONDITIONS, LANGUAGE_SPREAD) if rows else ())):
        _note(note, console)
    unknown = [LANGUAGE_TASKS[name].title for name in names if not any(name in row.scores for row in LANGUAGE)]
    if unknown:
        _note(f"no verified published score is known for {', '.join(unknown)}", console)
    for name in names:
        _show_notes(report.tasks[name], console)


def _task_reports(values: Mapping[str, Any]) -> dict[TaskName, TaskReport]:
    plain = {
        name: {key: value for key, value in report.items() if key in TaskReport.__dataclass_fields__}
        for name, report in values.items()
    }
    return TypeAdapter(dict[TaskName, TaskReport]).validate_python(plain)


def _spread(values: Sequence[float]) -> SeedSpread:
    return SeedSpread(len(values), mean(values) if values else None, stdev(values) if len(values) > 1 else None)


def _means(report: LanguageReport, names: Sequence[TaskName], rows: Sequence[PublishedRow]) -> Table:
    """Return a table with a row for each task; published models are numbered, and named below it."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("score")
    for number in range(1, len(rows) + 1):
        table.add_column(f"[{number}]".replace("[", "\\["), justify="right")
    for name in ("this model", "sound seeds", "constant", "seeds"):
        table.add_column(name, justify="right")
    for name in names:
        own = report.tasks[name]
        known = (f"{row.scores[name]:.1f}" if name in row.scores else "" for row in rows)
        floor = f"{own.results[0].floor:.1f}"
        table.add_row(own.title, own.main, *known, _cell(own.all), _cell(own.sound), floor, _counts(own))
    return table


def _cell(spread: SeedSpread) -> str:
    if spread.mean is None:
        return "–"
    return f"{spread.mean:.1f}" + ("" if spread.std is None else f" ± {spread.std:.1f}")


def _counts(report: TaskReport) -> str:
    collapsed = sum(bool(result.collapsed) for result in report.results)
    return f"{len(report.results)} ({collapsed})" if collapsed else str(len(report.results))


def _show_notes(report: TaskReport, console: Console) -> None:
    others = sorted({name for result in report.results for name in result.scores} - {report.main})
    for name in others:
        values = [result.scores[name] for result in report.results if name in result.scores]
        _note(f"{report.title}: {name} {_cell(_spread(values))}", console)
    for result in report.results:
        if result.collapsed:
            _note(f"{report.title}: seed {result.seed} COLLAPSED: {'; '.join(result.collapsed)}", console)
    for note in report.data.notes:
        _note(f"{report.title}: {note}", console)


def _note(text: str, console: Console) -> None:
    console.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)


def _categories(report: TaskReport) -> Table:
    """Return a table of scores by category, as means over the seeds."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("GLUE diagnostics, by category", no_wrap=True)
    for name in ("examples", "mcc", "accuracy"):
        table.add_column(name, justify="right")
    for tag in sorted(report.results[0].categories):
        seeds = [result.categories[tag] for result in report.results if tag in result.categories]
        means = [mean(scores[name] for scores in seeds) for name in ("mcc", "accuracy")]
        table.add_row(tag, f"{seeds[0]['examples']:.0f}", *(f"{value:.1f}" for value in means))
    return table
