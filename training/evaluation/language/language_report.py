"""What language evaluations found: every seed, means with and without collapsed ones, JSON, and a table.

A seed is flagged as collapsed where its score is no better than answering the same always, or its training loss did
not fall. It is never left out in silence: both means stand side by side.
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
from training.evaluation.language.published_language_scores import CONDITIONS, INSTABILITY, PUBLISHED, PublishedRow
from training.evaluation.language.tasks.task_registry import ENTRIES, TASKS, TaskName
from training.evaluation.score_files import write_json

FORMAT: Final = 3
"""Raised when the same settings would give other scores, or the file's form changes."""


COLUMNS: Final = (
    "this model: mean and standard deviation of all seeds; sound seeds: of those that did not collapse; constant: what "
    "answering the same always would earn; seeds: how many, in parentheses how many collapsed"
)
"""What the table's columns are."""


@dataclass(frozen=True)
class SeedResult:
    """One fine-tuning, scored on one task."""

    task: TaskName
    seed: int
    key: str
    """Hash of model, recipe, data and seed: equal keys mean equal results."""
    scores: dict[str, float]
    """Percent; of the split that stands for the task under plain names, of others as ``split_name``."""
    floor: float
    """Percent that answering the same always would earn on the main score."""
    steps: int
    first_loss: float | None
    """None where it was no number."""
    last_loss: float | None
    seconds: float
    collapsed: tuple[str, ...] = ()
    """Why the seed is flagged; empty: it is not."""
    categories: dict[str, dict[str, float]] = field(default_factory=dict)
    """The diagnostic set's scores by category."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation."""

    seeds: int
    mean: float | None
    std: float | None
    """None below two seeds."""


@dataclass(frozen=True)
class TaskReport:
    """All seeds of a task."""

    task: TaskName
    title: str
    main: str
    """Name of the score that `all` and `sound` are of."""
    recipe: dict[str, Any]
    data: dict[str, Any]
    """Files, counts and identities of the splits, and notes."""
    results: tuple[SeedResult, ...]

    @property
    def all(self) -> Spread:
        """Over every seed."""
        return _spread([result.scores[self.main] for result in self.results])

    @property
    def sound(self) -> Spread:
        """Over the seeds that did not collapse."""
        return _spread([result.scores[self.main] for result in self.results if not result.collapsed])


@dataclass(frozen=True)
class Report:
    """One model on several tasks."""

    model: dict[str, Any]
    """Name, revision, parameters, layers, width."""
    tasks: dict[TaskName, TaskReport]

    def write(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Write all of it as JSON, at once or not at all.

        Raises:
            UserError: the file can't be written.
        """
        tasks = {
            name: {**asdict(report), "all": asdict(report.all), "without_collapsed": asdict(report.sound)}
            for name, report in self.tasks.items()
        }
        published = [asdict(row) for row in PUBLISHED]
        write_json(
            path,
            {
                "format": FORMAT,
                "model": self.model,
                "settings": settings,
                "tasks": tasks,
                "published": {"conditions": CONDITIONS, "rows": published},
            },
        )


def read_report(path: Path) -> Report | None:
    """What an earlier call wrote; None where there is no file, or an empty one.

    Raises:
        UserError: the file holds something else.
    """
    if not path.is_file() or not path.stat().st_size:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise UserError(f"--output {path}: of another version (format {values['format']}); name another file")
        report = Report(values["model"], _reports(values["tasks"]))
        if not _is_whole(report):
            raise ValueError("lacks what every report has")
        return report
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
        raise UserError(f"--output {path}: holds something else than a language report; name another file") from None


def collapse(
    scores: Mapping[str, float], main: str, floor: float, margin: float, first: float, last: float
) -> tuple[str, ...]:
    """Why a seed counts as collapsed; empty where it does not.

    Args:
        scores: percent.
        main: the score to look at.
        floor: percent that answering the same always would earn.
        margin: percent above that which a model that learned something reaches.
        first: training loss at the start.
        last: training loss at the end.
    """
    reasons = []
    if not scores[main] > floor + margin:
        reasons.append(f"{main} {scores[main]:.1f} is not {margin:g} above {floor:.1f}, the score of a constant answer")
    if not last < first:
        reasons.append(f"the training loss did not fall ({first:.4g} to {last:.4g})")
    return tuple(reasons)


def show(report: Report, console: Console) -> None:
    """Print published rows beside this model's means, then every collapsed seed and what was said of the data."""
    names = [name for name in TASKS if name in report.tasks and report.tasks[name].results]
    console.print(f"{report.model['name']}: language tasks, fine-tuned; percent", markup=False, highlight=False)
    rows = [row for row in PUBLISHED if any(name in row.scores for name in names)]
    console.print(_means(report, names, rows))
    for number, row in enumerate(rows, start=1):
        console.print(f"[{number}] {row.model}: {row.source}", markup=False, highlight=False, soft_wrap=True)
    if "diagnostics" in names:
        console.print(_categories(report.tasks["diagnostics"]))
    for note in (COLUMNS, *((CONDITIONS, INSTABILITY) if rows else ())):
        _note(note, console)
    unknown = [ENTRIES[name].title for name in names if not any(name in row.scores for row in PUBLISHED)]
    if unknown:
        _note(f"no verified published number is known of {', '.join(unknown)}", console)
    for name in names:
        _show_notes(report.tasks[name], console)


def _reports(values: Mapping[str, Any]) -> dict[TaskName, TaskReport]:
    plain = {
        name: {key: value for key, value in report.items() if key in TaskReport.__dataclass_fields__}
        for name, report in values.items()
    }
    return TypeAdapter(dict[TaskName, TaskReport]).validate_python(plain)


def _is_whole(report: Report) -> bool:
    """Whether all is there that is used of an earlier report."""
    own = report.tasks.values()
    named = all(isinstance(report.model[name], str) for name in ("name", "revision"))
    noted = all(isinstance(task.data["notes"], list) for task in own)
    return named and noted and all(task.main in result.scores for task in own for result in task.results)


def _spread(values: Sequence[float]) -> Spread:
    return Spread(len(values), mean(values) if values else None, stdev(values) if len(values) > 1 else None)


def _means(report: Report, names: Sequence[TaskName], rows: Sequence[PublishedRow]) -> Table:
    """One row a task; published models are numbered, their names stand below."""
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


def _cell(spread: Spread) -> str:
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
    for note in report.data["notes"]:
        _note(f"{report.title}: {note}", console)


def _note(text: str, console: Console) -> None:
    console.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)


def _categories(report: TaskReport) -> Table:
    """Scores by category, as means over the seeds."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("GLUE diagnostics, by category", no_wrap=True)
    for name in ("examples", "mcc", "accuracy"):
        table.add_column(name, justify="right")
    for tag in sorted(report.results[0].categories):
        found = [result.categories[tag] for result in report.results if tag in result.categories]
        means = [mean(scores[name] for scores in found) for name in ("mcc", "accuracy")]
        table.add_row(tag, f"{found[0]['examples']:.0f}", *(f"{value:.1f}" for value in means))
    return table


def finite(value: float) -> float | None:
    """A loss as JSON can hold it."""
    return value if math.isfinite(value) else None
