"""The one actor of a run that all workers report to: workers that are ready, attempts at each shard, finished shards.

`RunCoordinator` runs as a Ray actor without resources of its own. Workers call it; the driver empties it every half
second and passes its updates to `runtime.ray_runner.display.progress.ProgressTracker`. It also bounds what Ray would
retry without end: a shard whose worker keeps dying, and a worker that keeps dying while it starts.

Ray starts it again if its process dies. Nothing that matters is lost then: results also travel in the rows, heartbeats
say which workers are ready, the driver says if all were, and calls are repeated. Deaths are counted anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Literal

from runtime.ray_runner.telemetry.work_span import WorkSpan

HEARTBEAT_SECONDS: Final = 2.0
"""Pause between two heartbeats of a worker."""

BeginOrder = Literal["go", "stop", "dead"]
"""The coordinator's answer to a worker that wants to begin a shard: work on it, pass the row on, or give it up."""

Counts = dict[str, float]


@dataclass(frozen=True)
class FinishedShard:
    """One shard that left one stage; the table of a table stage counts as one shard."""

    stage: str
    shard: int
    counts: Counts
    fatal: str | None = None
    trace: str | None = None
    """Traceback of an unexpected exception, for the log."""
    blame: Literal["user", "machine"] = "machine"
    """The side that has to act on `fatal`."""
    span: WorkSpan | None = None
    """The time that it took; None if the worker's own report was lost."""


@dataclass(frozen=True)
class Heartbeat:
    """One worker's state: its seconds with and without work, and figures of the shards in its hands."""

    pool: str
    worker: str
    busy: float
    idle: float
    live: Mapping[int, Counts] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerUpdates:
    """Everything that workers have reported since the last call."""

    finished: tuple[FinishedShard, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    ready: Mapping[str, int] = field(default_factory=dict)
    """Number of workers of each stage that are ready."""


class RunCoordinator:
    """Collects reports and bounds retries; one event loop, no locks. `coordinator_client` wraps it by ``ray.remote``.

    Args:
        stages: the stages that run at the same time.
        deaths: times that a worker of each stage may die on one shard.
    """

    def __init__(self, stages: Iterable[str], deaths: Mapping[str, int]) -> None:
        self._deaths = dict(deaths)
        self._tries: dict[tuple[str, int], int] = defaultdict(int)
        self._starts: dict[tuple[str, str], int] = defaultdict(int)
        self._ready: dict[str, set[str]] = {stage: set() for stage in stages}
        self._all_ready = asyncio.Event()
        self._stopped = False
        self._finished: list[FinishedShard] = []
        self._heartbeats: dict[tuple[str, str], Heartbeat] = {}

    async def count_start(self, stage: str, worker: str) -> int:
        """Count one start of a worker's process; return the number of starts since it was last ready."""
        self._starts[stage, worker] += 1
        return self._starts[stage, worker]

    async def worker_ready(self, stage: str, worker: str) -> None:
        """Note that a worker is ready for shards."""
        self._starts[stage, worker] = 0
        self._add_ready(stage, worker)

    async def begin(self, stage: str, shard: int, others_began: bool = False) -> BeginOrder:
        """Return an order for a worker that wants to begin a shard, once every stage has had a ready worker.

        Args:
            stage: the worker's stage.
            shard: its number.
            others_began: an earlier stage has finished this shard, so that all were ready before.
        """
        if others_began:
            self._all_ready.set()
        await self._all_ready.wait()
        if self._stopped:
            return "stop"
        self._tries[stage, shard] += 1
        return "dead" if self._tries[stage, shard] > 1 + self._deaths[stage] else "go"

    async def finish(self, finished: FinishedShard) -> None:
        """Note that a shard has left a stage."""
        self._finished.append(finished)

    async def heartbeat(self, heartbeat: Heartbeat) -> None:
        """Keep a worker's latest heartbeat; a stage's worker that sends one is ready."""
        if heartbeat.pool in self._ready:
            self._add_ready(heartbeat.pool, heartbeat.worker)
        self._heartbeats[heartbeat.pool, heartbeat.worker] = heartbeat

    async def stop(self) -> None:
        """Have every worker pass its rows on from now on."""
        self._stopped = True
        self._all_ready.set()

    async def take_updates(self, all_were_ready: bool = False) -> WorkerUpdates:
        """Return everything reported since the last call.

        Args:
            all_were_ready: every stage has had a ready worker. A process that took the place of a dead one can't know:
                the workers of a stage that has finished are gone.
        """
        if all_were_ready:
            self._all_ready.set()
        ready = {stage: len(workers) for stage, workers in self._ready.items()}
        updates = WorkerUpdates(tuple(self._finished), tuple(self._heartbeats.values()), ready)
        self._finished, self._heartbeats = [], {}
        return updates

    def _add_ready(self, stage: str, worker: str) -> None:
        self._ready[stage].add(worker)
        if all(self._ready.values()):
            self._all_ready.set()


class BusyClock:
    """Counts the seconds with at least one task at work, and the seconds with none. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tasks = 0
        self._since = time.monotonic()
        self._busy = 0.0
        self._idle = 0.0

    def __enter__(self) -> None:
        self._count(+1)

    def __exit__(self, *exc_info: object) -> None:
        self._count(-1)

    def read(self) -> tuple[float, float]:
        """Return the busy and the idle seconds until now."""
        self._count(0)
        return self._busy, self._idle

    def _count(self, change: int) -> None:
        with self._lock:
            now = time.monotonic()
            if self._tasks:
                self._busy += now - self._since
            else:
                self._idle += now - self._since
            self._since = now
            self._tasks += change
