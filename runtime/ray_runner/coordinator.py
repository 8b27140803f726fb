"""The one place where the workers of a run meet: who is ready, how often a shard was tried, what has been done.

`Meter` runs as a Ray actor without resources of its own. Workers tell it what they do; the driver empties it once a
second and hands what it says to `runtime.ray_runner.progress.Board`. It also bounds what Ray would retry for ever: a shard
whose worker keeps dying, and a worker that keeps dying while it starts.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

Order = Literal["go", "stop", "dead"]
"""What a worker is told when it asks for leave to begin: work, pass the row on, or give the shard up."""

Counts = dict[str, float]


@dataclass(frozen=True)
class Done:
    """One shard that left one stage."""

    stage: str
    shard: int
    counts: Counts
    fatal: str | None = None
    trace: str | None = None
    """Traceback of what was not expected, for the log."""
    blame: Literal["user", "machine"] = "machine"
    """Whose fault `fatal` is."""


@dataclass(frozen=True)
class Beat:
    """What one worker has done so far: seconds with work and without, and figures of the shards it is at."""

    pool: str
    worker: str
    busy: float
    idle: float
    live: Mapping[int, Counts] = field(default_factory=dict)


@dataclass(frozen=True)
class News:
    """What reached the meter since it was last asked."""

    done: tuple[Done, ...] = ()
    beats: tuple[Beat, ...] = ()
    ready: Mapping[str, int] = field(default_factory=dict)
    """Workers of each stage that have come up."""


class Meter:
    """Collects and bounds; one event loop, no locks. Wrapped by ``ray.remote`` in the runner."""

    def __init__(self, stages: Iterable[str], deaths: Mapping[str, int]) -> None:
        self._deaths = dict(deaths)
        self._tries: dict[tuple[str, int], int] = defaultdict(int)
        self._starts: dict[tuple[str, str], int] = defaultdict(int)
        self._ready: dict[str, set[str]] = {stage: set() for stage in stages}
        self._all_ready = asyncio.Event()
        self._stopped = False
        self._done: list[Done] = []
        self._beats: dict[tuple[str, str], Beat] = {}

    async def starting(self, stage: str, worker: str) -> int:
        """Count one start of a worker's process; the number of starts since it was last ready."""
        self._starts[stage, worker] += 1
        return self._starts[stage, worker]

    async def ready(self, stage: str, worker: str) -> None:
        """A worker has come up."""
        self._starts[stage, worker] = 0
        self._ready[stage].add(worker)
        if all(self._ready.values()):
            self._all_ready.set()

    async def begin(self, stage: str, shard: int) -> Order:
        """Ask for leave to work on a shard; waits until every stage has a worker, so that stages begin together."""
        await self._all_ready.wait()
        if self._stopped:
            return "stop"
        self._tries[stage, shard] += 1
        return "dead" if self._tries[stage, shard] > 1 + self._deaths[stage] else "go"

    async def done(self, done: Done) -> None:
        """A shard has left a stage."""
        self._done.append(done)

    async def beat(self, beat: Beat) -> None:
        """Where a worker stands."""
        self._beats[beat.pool, beat.worker] = beat

    async def stop(self) -> None:
        """From now on every worker passes its rows on."""
        self._stopped = True
        self._all_ready.set()

    async def news(self) -> News:
        """What has come in since the last call."""
        news = News(tuple(self._done), tuple(self._beats.values()), {s: len(w) for s, w in self._ready.items()})
        self._done, self._beats = [], {}
        return news


class Clock:
    """Seconds in which at least one task was at work, and seconds in which none was. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tasks = 0
        self._since = time.monotonic()
        self._busy = 0.0
        self._idle = 0.0

    def __enter__(self) -> None:
        self._turn(+1)

    def __exit__(self, *exc_info: object) -> None:
        self._turn(-1)

    def read(self) -> tuple[float, float]:
        """Busy and idle seconds until now."""
        self._turn(0)
        return self._busy, self._idle

    def _turn(self, change: int) -> None:
        with self._lock:
            now = time.monotonic()
            if self._tasks:
                self._busy += now - self._since
            else:
                self._idle += now - self._since
            self._since = now
            self._tasks += change
