"""The record of a run, the same with Ray and without: results counted once, progress shown, the report at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtime.ray_runner.display.progress import PoolFigures, ProgressTracker, outline_pools
from runtime.ray_runner.display.progress_view import RunDisplay
from runtime.ray_runner.reports import FinishedShard, Heartbeat
from runtime.ray_runner.stage import ServiceSpec, ShardResult, StageSpec
from runtime.ray_runner.telemetry.run_metrics import RunMetrics

OnResult = Callable[[str, int, ShardResult], None]
"""Called with a stage's name, a shard (`WHOLE_TABLE` for a table stage) and its result."""


@dataclass(frozen=True)
class RunReport:
    """The outcome of a run."""

    done: Mapping[str, int] = field(default_factory=dict)
    """Shards that left each stage; 1 for a table stage that wrote its table."""
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Figures of each stage, added up over its shards."""
    elapsed: float = 0.0
    """Wall seconds, start of Ray included."""
    pools: tuple[PoolFigures, ...] = ()
    """Figures of each stage and service at the end."""
    fatal: str | None = None
    """The line that ended the run early: the machine is at fault."""
    interrupted: bool = False
    """True if Ctrl-C ended the run."""
    streamed: bool = True
    """True if all stages ran at once, False if they took turns."""
    ray_logs: Path | None = None
    """Folder with the logs of an in-process Ray, kept if the run ended with `fatal`."""


class RunStopped(Exception):
    """Ends a run with a fatal line."""


class RunRecord:
    """Progress, display, metrics and callback of one run.

    Args:
        stages: all stages that have work, in pipeline order.
        services: the services that stages name; others are ignored.
        shown: the display.
        on_result: called once for each finished shard of each stage.
        started: `time.monotonic` at the start of the run.
        metrics: None: no metrics are exported, because there is no Ray.
    """

    def __init__(
        self,
        stages: Sequence[StageSpec],
        services: Sequence[ServiceSpec],
        shown: RunDisplay,
        on_result: OnResult | None,
        started: float,
        metrics: RunMetrics | None = None,
    ) -> None:
        self._stages = stages
        self._shown = shown
        self._on_result = on_result
        self._started = started
        self._metrics = metrics
        self._tracker = ProgressTracker(outline_pools(stages, services), started)
        self._layout = ""

    def start(self, layout: str) -> None:
        """Log the start; `layout` says in one line how the stages are laid out, and is shown below the figures."""
        self._layout = layout
        self._shown.write("start", why=layout, shards={stage.name: len(stage.shards) for stage in self._stages})

    def begin(self, pools: Sequence[str]) -> None:
        """Note that these stages and services are being started."""
        self._tracker.begin(pools, time.monotonic())

    def end(self, pools: Sequence[str]) -> None:
        """Note that these stages and services have finished."""
        self._tracker.end(pools, time.monotonic())

    def finish(self, finished: FinishedShard) -> None:
        """Count a result once, however often it is reported."""
        if finished.span is not None:
            if self._shown.trace is not None:
                self._shown.trace.add(finished.stage, finished.shard, finished.span, finished.counts)
            if self._metrics is not None:
                self._metrics.observe(finished.stage, finished.span.seconds)
        if self._tracker.finish(finished, time.monotonic()) and self._on_result:
            self._on_result(finished.stage, finished.shard, ShardResult(finished.counts))

    def add_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Take in the state of a worker."""
        self._tracker.add_heartbeat(heartbeat)

    def remove_worker(self, pool: str, worker: str) -> None:
        """Note that a worker was lost or is no longer needed."""
        self._tracker.remove_worker(pool, worker)

    def show(self, starting: Collection[str]) -> None:
        """Show the present figures; `starting` names the stages and services that are not ready yet."""
        now = time.monotonic()
        self._tracker.set_starting(starting, now)
        self._tracker.tick(now)
        figures = self._tracker.figures(now)
        self._shown.show(figures, self._layout)
        if self._metrics is not None:
            self._metrics.set(figures)

    def log_fatal(self, finished: FinishedShard) -> None:
        """Log a fatal result with its traceback."""
        self._shown.write(
            "fatal", stage=finished.stage, shard=finished.shard, line=finished.fatal, trace=finished.trace
        )

    def check_complete(self, stages: Sequence[StageSpec]) -> None:
        """Raise `RunStopped` if a shard of `stages` was lost."""
        for stage in stages:
            missing = self._tracker.missing(stage.name, stage.shards)
            if missing:
                raise RunStopped(f"stage {stage.name}: {len(missing)} shards were lost, shard {missing[0]} first")

    def close(self, *, fatal: str | None, interrupted: bool, streamed: bool, ray_logs: Path | None = None) -> RunReport:
        """Show and log the final figures, and return the report."""
        now = time.monotonic()
        self._tracker.tick(now)
        status = fatal or ("stopped by Ctrl-C" if interrupted else "done")
        figures = self._tracker.figures(now, whole_run=True)
        self._shown.end(figures, status)
        if self._metrics is not None:
            self._metrics.set(figures)
        return RunReport(
            done=self._tracker.shards_done(),
            counts=self._tracker.counts(),
            elapsed=now - self._started,
            pools=figures.pools,
            fatal=fatal,
            interrupted=interrupted,
            streamed=streamed,
            ray_logs=ray_logs,
        )
