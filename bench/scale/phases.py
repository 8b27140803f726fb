"""Measures the phases of one run in this process: the real plan, runner, ledger, index, status, selection, duplicates.

It is started once for each size (`bench.scale.__main__`), because the peak of memory is that of a process.
"""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console

from bench.memory import in_use, peak
from bench.scale.records import PHASES, Measured
from bench.scale.request_counts import added, count_requests, requests_within
from bench.scale.synthetic_stages import synthetic_stages
from curation import dir_bookkeeping, stage_registry
from curation.pipeline import settings_class, stage_specs
from curation.plan import RunPlan, make_plan
from curation.run_request import RunRequest
from curation.selection.deduplication.dedup_run import DedupRequest, deduplicate
from curation.selection.deduplication.dedup_settings import DedupSettings
from curation.selection.select_stage import SELECT
from curation.view.status import show_status
from runtime.ray_runner.cluster import ClusterSettings, connected
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.runner import run_stages
from runtime.settings import build
from shards.storage.store import Store
from training.data.sources.root_counts import count_roots
from training.data.sources.shard_tables import open_shards

LAYER: Final = "bench"
_CPU: Final = torch.device("cpu")
_MIB: Final = 2**20


def write_list(path: Path, sources: int) -> None:
    """Write a list of URLs of a site that yt-dlp knows; one in fifty is there twice."""
    with path.open("w", encoding="ascii") as file:
        for number in range(sources):
            file.write(f"https://www.youtube.com/watch?v={number - (number % 50 == 49):011d}\n")


class LastPhaseDone(Exception):
    """The last phase that was asked for is measured."""


@dataclass
class PhaseClock:
    """Records time, CPU time, memory and requests of each phase."""

    code: str
    sources: int
    runner: str
    record: Callable[[Measured], None]
    last: str = PHASES[-1]
    """Phase after which to stop."""
    shards: int = 0
    base: float = field(default_factory=lambda: in_use(_CPU) / _MIB)
    worker_requests: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block as the phase `name`."""
        in_use(_CPU)
        began, cpu = time.perf_counter(), time.process_time()
        with requests_within() as requests:
            yield
        own = requests - Counter(self.worker_requests) if self.runner == "local" else requests
        self.record(
            Measured(
                self.code, self.sources, self.shards, name, time.perf_counter() - began, time.process_time() - cpu,
                peak(_CPU) / _MIB - self.base, os.getloadavg()[0], dict(own), self.worker_requests, self.runner,
            )
        )  # fmt: skip
        self.worker_requests = {}
        if name == self.last:
            raise LastPhaseDone


def request_for(root: Path, inputs: tuple[str, ...], address: str | None) -> RunRequest:
    """Return a run of the synthetic stages."""
    stage_registry.STAGES = synthetic_stages()
    small = {"cpus": 0.5}
    values = {"resources": {"media": small, "rewrite": small}, "rewrite": {"engine": None}}
    settings = build(settings_class(), values, "bench")
    return RunRequest(
        pipeline="bench", settings=settings, inputs=inputs, store=Store(root), scratch=root.parent / "scratch",
        layer=LAYER, selection=LAYER, stages=("media", "rewrite"), in_turn=False, replace=False, limit=None,
        exclude=frozenset(), retry=None, address=address,
    )  # fmt: skip


def load_libraries(folder: Path) -> None:
    """Go through all phases with a few sources and without Ray, so that no phase pays for imports."""
    measure(PhaseClock("", 20, "local", lambda record: None), folder / "dir")


def measure(clock: PhaseClock, root: Path) -> None:
    """Measure the phases over a new DIR, up to the last one that is asked for."""
    with suppress(LastPhaseDone):
        _measure(clock, root)


def _measure(clock: PhaseClock, root: Path) -> None:
    count_requests()
    root.parent.mkdir(parents=True, exist_ok=True)
    listed = root.parent / "list.txt"
    write_list(listed, clock.sources)
    request = request_for(root, (str(listed),), "local" if clock.runner == "local" else None)
    request.scratch.mkdir(parents=True)
    with clock.phase("plan"):
        plan = make_plan(request)
        clock.shards = len(plan.todo["media"])
    with clock.phase("begin"):
        dir_bookkeeping.begin(plan)
    _run(clock, plan)
    with clock.phase("finish"):
        dir_bookkeeping.finish(plan)
    del plan
    with clock.phase("plan again"):
        again = make_plan(request)
        assert again.is_done and dir_bookkeeping.is_finished(again)
    _use(clock, again, root)


def _use(clock: PhaseClock, plan: RunPlan, root: Path) -> None:
    """Measure what people and trainers do with a finished DIR."""
    with clock.phase("status"):
        show_status(str(root), Console(file=io.StringIO()))
    with clock.phase("select"):
        worker = SELECT.worker(plan.context)({})
        result = asyncio.run(worker.process_all(list(range(clock.shards))))
        assert result.fatal is None, result.fatal
    with clock.phase("dedup"):
        deduplicate(DedupRequest(Store(root), DedupSettings(name="all", exact=True), "local", quiet=True))
    with clock.phase("open for training"):
        opened = open_shards([str(root)], None)
        count_roots(opened.shards, "train", True)


def _run(clock: PhaseClock, plan: RunPlan) -> None:
    """Measure the run on Ray, in which this process is the driver; Ray itself is up before."""
    specs = stage_specs(plan.context, plan.todo, videos_per_shard=plan.sources.largest_shard)
    arguments: dict[str, Any] = {"log_folder": None, "title": "bench", "quiet": True}
    if clock.runner == "local":
        with clock.phase("run"):
            report = run_stages(specs, (), cluster=ClusterSettings(address="local"), **arguments)
            clock.worker_requests = _worker_requests(report)
    else:
        with connected(ClusterSettings(num_cpus=4)), clock.phase("run"):
            report = run_stages(specs, (), cluster=ClusterSettings(), **arguments)
            clock.worker_requests = _worker_requests(report)
    assert report.fatal is None, report.fatal
    assert report.done == {"media": clock.shards, "rewrite": clock.shards}, report.done


def _worker_requests(report: RunReport) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counts in report.counts.values():
        total.update(added(counts))
    return dict(total)
