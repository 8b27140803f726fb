"""What a run has done, how fast, and how long it will take: pure figures, kept by the driver.

`Board` is fed with what the workers say (`runtime.ray_runner.coordinator.News`) and gives `Figures`, which `runtime.ray_runner.progress_view` shows and
writes down. Inside a worker, `report` tells of work on a shard that takes long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from runtime.ray_runner.coordinator import Beat, Counts, Done

WINDOW_SECONDS: Final = 60.0
"""Rates are over the last minute."""

FAILED: Final = "failed:"
"""Prefix of the counts that are failures, followed by their class."""

reporter: ContextVar[Callable[[Mapping[str, float]], None] | None] = ContextVar("reporter", default=None)
"""Set by the runner around a worker's `process`; none elsewhere."""


def report(counts: Mapping[str, float]) -> None:
    """Tell of work done on the current shard since the last call, for the live view; a no-op outside a runner.

    Counts have the names of `ShardResult.counts` and only show that work goes on: what the shard's result says
    replaces them.
    """
    tell = reporter.get()
    if tell is not None:
        tell(counts)


@dataclass(frozen=True)
class PoolFigures:
    """One pool at one moment: a stage, or a service (which has no shards)."""

    pool: str
    total: int | None = None
    """Shards that this stage has to do; none for a service."""
    done: int = 0
    workers: int = 0
    counts: Mapping[str, float] = field(default_factory=dict)
    clips_per_second: float = 0.0
    tokens_per_second: float = 0.0
    failed: Mapping[str, float] = field(default_factory=dict)
    """Failures by class."""
    waits: float | None = None
    """Share of its workers' time without work, 0 to 1; none before anything is known."""
    eta: float | None = None
    """Seconds until the last shard, at the pace so far; none before the first."""


@dataclass(frozen=True)
class Figures:
    """All pools at one moment."""

    elapsed: float
    pools: tuple[PoolFigures, ...]
    eta: float | None = None

    def plain(self) -> dict[str, Any]:
        """As plain values, rounded, for a line of JSON."""
        return {
            "elapsed": round(self.elapsed, 1),
            "eta": None if self.eta is None else round(self.eta),
            "pools": {p.pool: _rounded(asdict(p)) for p in self.pools},
        }


class Board:
    """Adds up what workers say. Times are seconds of one monotonic clock, given by the caller."""

    def __init__(self, totals: Mapping[str, int], services: Iterable[str], now: float) -> None:
        self._totals = dict(totals)
        self._services = tuple(services)
        self._start = now
        self._done: dict[str, set[int]] = {stage: set() for stage in totals}
        self._counts: dict[str, Counts] = {stage: {} for stage in totals}
        self._live: dict[str, dict[str, Mapping[int, Counts]]] = {stage: {} for stage in totals}
        self._time: dict[str, dict[str, tuple[float, float]]] = {p: {} for p in (*totals, *self._services)}
        self._begun: dict[str, float] = {}
        self._past: deque[tuple[float, dict[str, _Sums]]] = deque([(now, self._sums())])
        self._zero = self._sums()

    def begin(self, stages: Iterable[str], now: float) -> None:
        """Stages start work: their pace is measured from here."""
        self._begun.update(dict.fromkeys(stages, now))

    def beat(self, beat: Beat) -> None:
        """Take in where a worker stands."""
        self._time[beat.pool][beat.worker] = (beat.busy, beat.idle)
        if beat.pool in self._live:
            self._live[beat.pool][beat.worker] = beat.live

    def finish(self, done: Done) -> bool:
        """Take in a shard that left a stage; False where that was known."""
        if done.shard in self._done[done.stage]:
            return False
        self._done[done.stage].add(done.shard)
        _add(self._counts[done.stage], done.counts)
        return True

    def tick(self, now: float) -> None:
        """Remember this moment, so that later ones have something to compare with."""
        self._past.append((now, self._sums()))
        while len(self._past) > 2 and self._past[1][0] <= now - WINDOW_SECONDS:
            self._past.popleft()

    def figures(self, now: float, whole_run: bool = False) -> Figures:
        """Everything as it stands; rates and waits are over the last minute, or over the whole run."""
        then, before = (self._start, self._zero) if whole_run else self._past[0]
        sums = self._sums()
        pools = tuple(
            self._pool(name, sums[name], before[name], max(now - then, 1e-9), now)
            for name in (*self._totals, *self._services)
        )
        etas = [p.eta for p in pools if p.total is not None and p.done < p.total]
        known = [eta for eta in etas if eta is not None]
        return Figures(now - self._start, pools, max(known) if known and len(known) == len(etas) else None)

    def counts(self) -> dict[str, Counts]:
        """Counts of each stage over the shards that are done."""
        return {stage: dict(counts) for stage, counts in self._counts.items()}

    def shards_done(self) -> dict[str, int]:
        """Shards of each stage that are done."""
        return {stage: len(shards) for stage, shards in self._done.items()}

    def missing(self, stage: str, shards: Sequence[int]) -> list[int]:
        """Which of `shards` have not left `stage`."""
        return [shard for shard in shards if shard not in self._done[stage]]

    def _sums(self) -> dict[str, _Sums]:
        return {pool: self._sum(pool) for pool in self._time}

    def _sum(self, pool: str) -> _Sums:
        times = self._time[pool].values()
        busy, idle = sum(b for b, _ in times), sum(i for _, i in times)
        counts, done = dict(self._counts.get(pool, {})), self._done.get(pool, set())
        for worker in self._live.get(pool, {}).values():
            for shard, live in worker.items():
                if shard not in done:
                    _add(counts, live)
        return _Sums(busy, idle, counts)

    def _pool(self, name: str, sums: _Sums, before: _Sums, seconds: float, now: float) -> PoolFigures:
        busy, idle = sums.busy - before.busy, sums.idle - before.idle
        return PoolFigures(
            pool=name,
            total=self._totals.get(name),
            done=len(self._done.get(name, ())),
            workers=len(self._time[name]),
            counts=sums.counts,
            clips_per_second=_rate(sums, before, "clips", seconds),
            tokens_per_second=_rate(sums, before, "tokens", seconds),
            failed={k.removeprefix(FAILED): v for k, v in sums.counts.items() if k.startswith(FAILED)},
            waits=idle / (busy + idle) if busy + idle > 0 else None,
            eta=self._eta(name, now),
        )

    def _eta(self, stage: str, now: float) -> float | None:
        """By the mean over the whole run: shards are few and take minutes, a window would jump about."""
        done, total = len(self._done.get(stage, ())), self._totals.get(stage)
        if total is None or not done:
            return None
        return (total - done) * (now - self._begun.get(stage, self._start)) / done


@dataclass(frozen=True)
class _Sums:
    busy: float
    idle: float
    counts: Counts


def _add(total: Counts, part: Mapping[str, float]) -> None:
    for name, value in part.items():
        total[name] = total.get(name, 0.0) + value


def _rate(sums: _Sums, before: _Sums, name: str, seconds: float) -> float:
    return max(0.0, sums.counts.get(name, 0.0) - before.counts.get(name, 0.0)) / seconds


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return value
