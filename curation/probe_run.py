"""`curate plan --probe K`: runs K shards' worth of sources in a temporary DIR, and extrapolates to all of them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.table import Table

from curation.media.picture.guarded_probe import guarded_header_duration
from curation.plan import RunPlan
from curation.run import execute
from curation.sources.source_rows import SourceRow
from curation.stages.pipeline_settings import PipelineSettings
from runtime.errors import MachineError, UserError
from runtime.ray_runner.run_record import RunReport
from runtime.terminal import SafeConsole
from shards.storage.store import Store

_MEASURED = 2000
"""Most sources whose duration is read; their mean is used for the others."""


@dataclass(frozen=True)
class RunCost:
    """The cost of a run: measured for the probe, extrapolated for all sources."""

    sources: int
    video_hours: float | None
    """Hours of video; None if no duration is known."""
    hours: float
    """Wall time."""
    gpu_hours: float
    gigabytes: float
    tokens: float

    def scaled(self, factor: float, sources: int) -> RunCost:
        """Return the cost of `sources`, at `factor` times this one."""
        figures = (self.hours, self.gpu_hours, self.gigabytes, self.tokens)
        video_hours = None if self.video_hours is None else self.video_hours * factor
        return RunCost(sources, video_hours, *(figure * factor for figure in figures))


def show_probe(plan: RunPlan, shards: int, console: Console) -> int:
    """Run `shards` shards' worth of the plan's waiting sources aside, print the cost of all of them, and return 0.

    Raises:
        UserError: no source is waiting.
        MachineError: the machine can't go on.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    waiting = waiting_sources(plan)
    if not waiting:
        raise UserError("--probe: there is no source left to do")
    sample = spread(waiting, shards * plan.sources.videos_per_shard)
    folder = Path(tempfile.mkdtemp(prefix="curate-probe-"))
    try:
        report = _run(plan, sample, folder)
        if report.fatal is not None:
            raise MachineError(report.fatal)
        if report.interrupted:
            raise KeyboardInterrupt
        measured = _cost(report, plan.request.settings, sample, folder / "dir")
    finally:
        shutil.rmtree(folder)
    _print(console, measured, measured.scaled(whole_over_sample(waiting, sample), len(waiting)))
    return 0


def waiting_sources(plan: RunPlan) -> list[SourceRow]:
    """Return the plan's sources whose media is still to be made."""
    todo = set(plan.todo.get("media", ()))
    return [row for row in plan.sources.rows if row.shard in todo and row.planned_state is None]


def spread(rows: Sequence[SourceRow], count: int) -> list[SourceRow]:
    """Return at most `count` rows, evenly spread over all."""
    count = min(count, len(rows))
    return [rows[(2 * i + 1) * len(rows) // (2 * count)] for i in range(count)]


def whole_over_sample(rows: Sequence[SourceRow], sample: Sequence[SourceRow]) -> float:
    """Return the ratio of seconds of video in `rows` to those in `sample`; of numbers of sources if none is known.

    A source of unknown duration counts as the mean of the known ones.
    """
    measured = spread(rows, _MEASURED)
    known = [seconds for seconds in map(known_seconds, (*measured, *sample)) if seconds is not None]
    mean = sum(known) / len(known) if known else 1.0
    per_row = _seconds(measured, mean) / len(measured)
    return per_row * len(rows) / _seconds(sample, mean)


@cache
def known_seconds(row: SourceRow) -> float | None:
    """Return the seconds of video in a source: its span, or the duration in the header of a local file."""
    whole = guarded_header_duration(Path(row.source)) if Path(row.source).is_absolute() else None
    end = row.end if whole is None or row.end is None else min(row.end, whole)
    end = whole if end is None else end
    return None if end is None else max(end - (row.start or 0.0), 0.0)


def _seconds(rows: Sequence[SourceRow], mean: float) -> float:
    return sum(mean if (seconds := known_seconds(row)) is None else seconds for row in rows) or 1.0


def _run(plan: RunPlan, sample: Sequence[SourceRow], folder: Path) -> RunReport:
    manifest = folder / "sample.jsonl"
    lines = [json.dumps({"url": row.source, "start": row.start, "end": row.end}) for row in sample]
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    per_shard = plan.sources.videos_per_shard
    request = replace(
        plan.request,
        inputs=(str(manifest),),
        store=Store(folder / "dir"),
        scratch=folder / "dir" / ".scratch",
        settings=plan.request.settings.model_copy(update={"videos_per_shard": per_shard}),
        limit=None,
        exclude=frozenset(),
        retry=None,
        replace=False,
    )
    return execute(request, SafeConsole(stderr=True, highlight=False), quiet=False)


def _cost(report: RunReport, settings: PipelineSettings, sample: Sequence[SourceRow], folder: Path) -> RunCost:
    known = [seconds for row in sample if (seconds := known_seconds(row)) is not None]
    gpus = sum(pool.gpus * pool.min for pool in settings.resources.values())
    hours = report.elapsed / 3600
    tokens = sum(stage.get("tokens_in", 0) + stage.get("tokens", 0) for stage in report.counts.values())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return RunCost(len(sample), sum(known) / 3600 if known else None, hours, hours * gpus, size / 1e9, tokens)


def _print(console: Console, measured: RunCost, whole: RunCost) -> None:
    table = Table(title="cost on this machine", title_justify="left")
    for name in ("", "sources", "video hours", "hours", "GPU-hours", "GB", "tokens"):
        table.add_column(name, justify="right" if name else "left", no_wrap=not name)
    for name, cost in (("probe", measured), ("all sources", whole)):
        table.add_row(
            name,
            str(cost.sources),
            "?" if cost.video_hours is None else f"{cost.video_hours:.2f}",
            f"{cost.hours:.2f}",
            f"{cost.gpu_hours:.2f}",
            f"{cost.gigabytes:.3f}",
            f"{cost.tokens:,.0f}",
        )
    console.print(table)
    basis = "seconds of video" if measured.video_hours is not None else "number of sources: no duration is known"
    console.print(f"Extrapolated by {basis}.")
    console.print("The probe's hours include starting Ray and the engines, so the whole run takes somewhat less.")
