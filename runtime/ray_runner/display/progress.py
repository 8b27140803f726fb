"""The progress of a run as pure figures: work done, rates, waiting, and the time left.

`ProgressTracker` is fed by the driver with the reports of the workers (`runtime.ray_runner.reports`) and
gives `Figures`, which `runtime.ray_runner.display.progress_view` shows and logs. Inside a worker, `report` shows work
on a shard that takes long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from runtime.ray_runner.reports import Counts, FinishedShard, Heartbeat
from runtime.ray_runner.shard_set import ShardSet
from runtime.ray_runner.stage import ServiceSpec, StageSpec, Unit

WINDOW_SECONDS: Final = 60.0
"""Rates are over the last minute."""

FAILED: Final = "failed:"
"""Prefix of the counts that are failures, followed by their class."""
POSTPONED: Final = "pending:"
"""Prefix of the counts of sources that were not tried; they are shown with the failures."""

PoolState = Literal["waiting for its turn", "starting", "ready", "working", "done"]
"""Of one pool: ``ready`` is a stage that waits until all others have started."""

reporter: ContextVar[Callable[[Mapping[str, float]], None] | None] = ContextVar("reporter", default=None)
"""Set by the runner around a worker's `process`; None elsewhere."""


def report(counts: Mapping[str, float]) -> None:
    """Show work done on the current shard since the last call in the live view; do nothing outside a runner.

    Counts have the names of `ShardResult.counts`. They only show that work goes on: the counts of the shard's result
    replace them.
    """
    show = reporter.get()
    if show is not None:
        show(counts)


@dataclass(frozen=True)
class PoolOutline:
    """A pool as the tracker knows it before any work: a stage, or a service (which has no shards)."""

    name: str
    total: int | None = None
    """Shards that this stage has to do, or 1 for a table; None for a service."""
    unit: Unit = "shard"
    upstream: str | None = None
    """The stage whose results this one waits for."""
    services: tuple[str, ...] = ()
    cpus: float = 0.0
    """Logical CPUs that each worker reserves."""
    gpus: float = 0.0
    """GPUs that each worker reserves."""


@dataclass(frozen=True)
class PoolFigures:
    """One pool at one moment: a stage, or a service (which has no shards)."""

    pool: str
    state: PoolState = "working"
    total: int | None = None
    """Shards that this stage has to do, or 1 for a table; None for a service."""
    unit: Unit = "shard"
    done: int = 0
    workers: int = 0
    worker_seconds: float = 0.0
    """Seconds that its workers were held, added up: their start, their work, and their waiting."""
    busy_seconds: float = 0.0
    """Seconds that its workers had work, added up."""
    idle_seconds: float = 0.0
    """Seconds that its workers were ready and had no work, added up."""
    queue_seconds: float = 0.0
    """Seconds in which a call waited for a free place, added up over the hosts of a service."""
    most_workers: int = 0
    """Most workers that it had at a time."""
    cpus: float = 0.0
    """Logical CPUs that each worker reserves."""
    gpus: float = 0.0
    """GPUs that each worker reserves."""
    counts: Mapping[str, float] = field(default_factory=dict)
    clips_per_second: float = 0.0
    tokens_per_second: float = 0.0
    failed: Mapping[str, float] = field(default_factory=dict)
    """Failures by class."""
    waits: float | None = None
    """Share of its workers' time without work, 0 to 1; None before the first heartbeat."""
    waits_for: str | None = None
    """The stage that has yet to deliver work to this one; None: it only has less work than workers."""
    eta: float | None = None
    """Seconds until the last shard, at the pace so far; None before the first and while anything is starting."""


@dataclass(frozen=True)
class Figures:
    """All pools at one moment."""

    elapsed: float
    pools: tuple[PoolFigures, ...]
    eta: float | None = None
    starting: tuple[str, ...] = ()
    """Stages and engines that are being started, as a person reads them (``llm engine``)."""

    def plain(self) -> dict[str, Any]:
        """Return the figures as plain values, rounded, for a line of JSON."""
        return {
            "elapsed": round(self.elapsed, 1),
            "eta": None if self.eta is None else round(self.eta),
            "starting": list(self.starting),
            "pools": {p.pool: _rounded(asdict(p)) for p in self.pools},
        }


def outline_pools(stages: Sequence[StageSpec], services: Iterable[ServiceSpec]) -> list[PoolOutline]:
    """Return the pools of a run in the order in which they are shown: stages, then the services that they name."""
    named = {name for stage in stages for name in stage.services}
    before = (None, *(stage.name for stage in stages))
    outlines = [
        PoolOutline(
            stage.name, len(stage.shards), stage.unit, upstream, tuple(stage.services), stage.pool.cpus, stage.pool.gpus
        )
        for stage, upstream in zip(stages, before, strict=False)
    ]
    return outlines + [
        PoolOutline(service.name, cpus=service.pool.cpus, gpus=service.pool.gpus)
        for service in services
        if service.name in named
    ]


class ProgressTracker:
    """Adds up the reports of the workers. Times are seconds of one monotonic clock, given by the caller."""

    def __init__(self, pools: Sequence[PoolOutline], now: float) -> None:
        self._pools = {pool.name: pool for pool in pools}
        self._start = now
        stages = [pool.name for pool in pools if pool.total is not None]
        self._done = {stage: ShardSet() for stage in stages}
        self._counts: dict[str, Counts] = {stage: {} for stage in stages}
        self._live: dict[str, dict[str, Mapping[int, Counts]]] = {stage: {} for stage in stages}
        self._time: dict[str, dict[str, tuple[float, float]]] = {pool.name: {} for pool in pools}
        self._gone = dict.fromkeys(self._time, 0)
        self._most = dict.fromkeys(self._time, 0)
        self._waiting: dict[str, dict[str, float]] = {pool.name: {} for pool in pools}
        self._starting: frozenset[str] = frozenset()
        self._begun: dict[str, float] = {}
        """Time at which each pool was begun to be started."""
        self._origins: dict[str, _Moment] = {}
        """Start of the work of each pool that has begun: after its start and that of its engines."""
        self._ended: dict[str, PoolFigures] = {}
        self._past: deque[tuple[float, dict[str, _Moment]]] = deque()
        self.tick(now)

    def begin(self, pools: Iterable[str], now: float) -> None:
        """Note that pools are being started."""
        names = list(pools)
        self._starting |= set(names)
        self._begun.update(dict.fromkeys(names, now))
        self._origins.update((name, self._moment(name, now)) for name in names)

    def set_starting(self, starting: Collection[str], now: float) -> None:
        """Note the pools that are still starting; the pace of a stage is measured from the end of its start."""
        self._starting = frozenset(starting)
        for name in self._origins:
            if name not in self._ended and self._starting & {name, *self._pools[name].services}:
                self._origins[name] = self._moment(name, now)

    def add_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Take in the state of a worker."""
        pool, worker = heartbeat.pool, heartbeat.worker
        self._time[pool][worker] = (heartbeat.busy, heartbeat.idle)
        self._waiting[pool][worker] = heartbeat.waiting
        self._most[pool] = max(self._most[pool], self._workers(pool))
        if heartbeat.pool in self._live:
            self._live[heartbeat.pool][heartbeat.worker] = heartbeat.live

    def remove_worker(self, pool: str, worker: str) -> None:
        """Note that a worker is gone: its seconds still count, its shards in hand no longer do."""
        if worker in self._time[pool]:
            self._gone[pool] += 1
        self._live.get(pool, {}).pop(worker, None)

    def finish(self, finished: FinishedShard, now: float) -> bool:
        """Count a shard that left a stage; return False if it was counted before."""
        done = self._done[finished.stage]
        if not done.add(finished.shard):
            return False
        _add(self._counts[finished.stage], finished.counts)
        if len(done) == self._pools[finished.stage].total:
            self.end([finished.stage], now)
        return True

    def end(self, pools: Iterable[str], now: float) -> None:
        """Freeze the figures of pools that have finished their work, with rates over all of it."""
        for name in pools:
            if name not in self._ended and self._is_complete(name):
                origin = self._origins.get(name) or _Moment(self._start, 0.0, 0.0, {}, 0)
                self._ended[name] = replace(self._figures_of(name, origin, now), state="done", eta=None)
        self._starting -= set(pools)

    def tick(self, now: float) -> None:
        """Remember this moment, so that rates of later ones can be measured from it."""
        self._past.append((now, {name: self._moment(name, now) for name in self._pools}))
        while len(self._past) > 2 and self._past[1][0] <= now - WINDOW_SECONDS:
            self._past.popleft()

    def figures(self, now: float, whole_run: bool = False) -> Figures:
        """Return the figures of all pools; rates and waits are over the last minute, or over the whole run.

        A pool that is done keeps the figures that it had at its end.
        """
        pools = tuple(
            self._ended.get(name) or self._figures_of(name, self._reference(name, whole_run), now)
            for name in self._pools
        )
        etas = [p.eta for p in pools if p.total is not None and p.state != "done"]
        known = [eta for eta in etas if eta is not None]
        total = max(known) if known and len(known) == len(etas) else None
        return Figures(now - self._start, pools, total, tuple(self._spoken(n) for n in self._pools if self._starts(n)))

    def counts(self) -> dict[str, Counts]:
        """Return the counts of each stage over its finished shards."""
        return {stage: dict(counts) for stage, counts in self._counts.items()}

    def shards_done(self) -> dict[str, int]:
        """Return the number of finished shards of each stage."""
        return {stage: len(shards) for stage, shards in self._done.items()}

    def missing(self, stage: str, shards: Sequence[int]) -> list[int]:
        """Return those of `shards` that have not left `stage`."""
        return [shard for shard in shards if shard not in self._done[stage]]

    def _starts(self, name: str) -> bool:
        return name in self._starting

    def _spoken(self, name: str) -> str:
        return f"{name} engine" if self._pools[name].total is None else name

    def _is_complete(self, name: str) -> bool:
        total = self._pools[name].total
        return total is None or len(self._done[name]) == total

    def _moment(self, name: str, now: float) -> _Moment:
        times = self._time[name].values()
        counts, done = dict(self._counts.get(name, {})), self._done.get(name, ShardSet())
        for worker in self._live.get(name, {}).values():
            for shard, live in worker.items():
                if shard not in done:
                    _add(counts, live)
        return _Moment(now, sum(busy for busy, _ in times), sum(idle for _, idle in times), counts, len(done))

    def _reference(self, name: str, whole_run: bool) -> _Moment:
        """Return the moment from which a pool's rates are measured: a minute ago, but not before its work began."""
        a_minute_ago = self._past[0][1][name]
        origin = self._origins.get(name, a_minute_ago)
        return origin if whole_run or origin.time > a_minute_ago.time else a_minute_ago

    def _figures_of(self, name: str, since: _Moment, now: float) -> PoolFigures:
        outline, moment = self._pools[name], self._moment(name, now)
        busy, idle = moment.busy - since.busy, moment.idle - since.idle
        upstream = outline.upstream
        return PoolFigures(
            pool=name,
            state=self._state(name, moment),
            total=outline.total,
            unit=outline.unit,
            done=moment.done,
            workers=self._workers(name),
            worker_seconds=self._worker_seconds(name, moment),
            busy_seconds=moment.busy,
            idle_seconds=moment.idle,
            queue_seconds=sum(self._waiting[name].values()),
            most_workers=self._most[name],
            cpus=outline.cpus,
            gpus=outline.gpus,
            counts=moment.counts,
            clips_per_second=moment.rate("clips", since),
            tokens_per_second=moment.rate("tokens", since),
            failed={k.partition(":")[2]: v for k, v in moment.counts.items() if k.startswith((FAILED, POSTPONED))},
            waits=idle / (busy + idle) if busy + idle > 0 else None,
            waits_for=upstream if upstream and not self._is_complete(upstream) else None,
            eta=self._eta(name, now),
        )

    def _workers(self, name: str) -> int:
        return len(self._time[name]) - self._gone[name]

    def _worker_seconds(self, name: str, moment: _Moment) -> float:
        """Return the seconds that workers were held; each is taken to have started as long as its pool did."""
        origin = self._origins.get(name)
        starting = 0.0 if origin is None else origin.time - self._begun[name]
        return moment.busy + moment.idle + starting * len(self._time[name])

    def _state(self, name: str, moment: _Moment) -> PoolState:
        if name in self._starting:
            return "starting"
        if name not in self._origins:
            return "waiting for its turn"
        return "ready" if self._starting and not moment.busy and not moment.done else "working"

    def _eta(self, stage: str, now: float) -> float | None:
        """By the mean over its whole work: shards are few and take minutes, a window would jump about."""
        total, origin = self._pools[stage].total, self._origins.get(stage)
        if total is None or origin is None or self._starting:
            return None
        done = len(self._done[stage])
        return (total - done) * (now - origin.time) / (done - origin.done) if done > origin.done else None


@dataclass(frozen=True)
class _Moment:
    """The sums of one pool at one time."""

    time: float
    busy: float
    idle: float
    counts: Counts
    done: int

    def rate(self, name: str, since: _Moment) -> float:
        """Return the count's growth a second since an earlier moment, 0 if no time has passed."""
        growth, seconds = self.counts.get(name, 0.0) - since.counts.get(name, 0.0), self.time - since.time
        return max(0.0, growth) / seconds if seconds > 0 else 0.0


def _add(total: Counts, part: Mapping[str, float]) -> None:
    for name, value in part.items():
        total[name] = total.get(name, 0.0) + value


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return value
