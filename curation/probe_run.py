"""`curate plan --probe K`: run K shards' worth of sources aside, and extrapolate to all of them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from curation.pipeline import PipelineSettings
from curation.plan import Plan
from runtime.errors import MachineError, UserError
from runtime.ray_runner.run_record import RunReport
from shards.storage.store import Store


@dataclass(frozen=True)
class Cost:
    """What a run takes; of the probe as measured, of the whole as extrapolated."""

    sources: int
    hours: float
    gpu_hours: float
    gigabytes: float
    tokens: float

    def times(self, factor: float, sources: int) -> Cost:
        """The cost of `sources`, at `factor` times this one."""
        figures = (self.hours, self.gpu_hours, self.gigabytes, self.tokens)
        return Cost(sources, *(figure * factor for figure in figures))


def show_probe(plan: Plan, shards: int, console: Console) -> int:
    """Run `shards` shards' worth of the plan's waiting sources in a temporary DIR and print the cost of all; 0.

    Raises:
        UserError: nothing waits to be done.
        MachineError: the machine gave up.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    waiting = waiting_sources(plan)
    if not waiting:
        raise UserError("--probe: there is no source left to do")
    sample = spread(waiting, shards * plan.videos_per_shard)
    folder = Path(tempfile.mkdtemp(prefix="curate-probe-"))
    try:
        report = _run(plan, sample, folder)
        if report.fatal is not None:
            raise MachineError(report.fatal)
        if report.interrupted:
            raise KeyboardInterrupt
        measured = _cost(report, plan.job.settings, len(sample), folder / "dir")
    finally:
        shutil.rmtree(folder)
    _print(console, measured, measured.times(len(waiting) / len(sample), len(waiting)))
    return 0


def waiting_sources(plan: Plan) -> list[dict[str, Any]]:
    """Rows of the plan's sources whose media is still to be made and that nothing speaks against."""
    todo = {shard for stage in plan.stages if stage.name == "media" for shard in stage.todo}
    rows = plan.sources.to_pylist()
    return [row for row in rows if row["shard"] in todo and row["verdict"] is None]


def spread(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """At most `count` rows, evenly spread over all."""
    count = min(count, len(rows))
    return [rows[(2 * i + 1) * len(rows) // (2 * count)] for i in range(count)]


def _run(plan: Plan, sample: Sequence[dict[str, Any]], folder: Path) -> RunReport:
    from curation.run import execute

    manifest = folder / "sample.jsonl"
    lines = [json.dumps({"url": row["source"], "start": row["start"], "end": row["end"]}) for row in sample]
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    job = replace(
        plan.job,
        inputs=(str(manifest),),
        store=Store(folder / "dir"),
        scratch=folder / "dir" / ".scratch",
        settings=plan.job.settings.model_copy(update={"videos_per_shard": plan.videos_per_shard}),
        limit=None,
        exclude=frozenset(),
        retry=None,
        replace=False,
    )
    return execute(job, Console(stderr=True, highlight=False), quiet=False)


def _cost(report: RunReport, settings: PipelineSettings, sources: int, folder: Path) -> Cost:
    gpus = sum(pool.gpus * pool.min for pool in settings.resources.values())
    hours = report.elapsed / 3600
    counts = list(report.counts.values())
    tokens = sum(stage.get("tokens_in", 0) + stage.get("tokens", 0) for stage in counts)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Cost(sources, hours, hours * gpus, size / 1e9, tokens)


def _print(console: Console, measured: Cost, whole: Cost) -> None:
    table = Table(title="cost, on this machine as it is set up", title_justify="left")
    for name in ("", "sources", "hours", "GPU-hours", "GB", "tokens"):
        table.add_column(name, justify="right" if name else "left")
    for name, cost in (("probe", measured), ("all, extrapolated", whole)):
        table.add_row(
            name,
            str(cost.sources),
            f"{cost.hours:.2f}",
            f"{cost.gpu_hours:.2f}",
            f"{cost.gigabytes:.3f}",
            f"{cost.tokens:,.0f}",
        )
    console.print(table)
    console.print("The probe's hours hold the start of Ray and of the engines: the whole run takes rather less.")
