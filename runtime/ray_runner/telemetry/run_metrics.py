"""The metrics of a run for Prometheus, exported by the endpoint of Ray's node (``metrics_export_port``).

The driver sets them from the figures that it shows (`runtime.ray_runner.display.progress`): each has one source.
A Ray that a run starts for itself has no endpoint: start a node with ``ray start --head`` and join it by ``--address``.
The dashboard in ``docs/grafana`` shows them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from runtime.ray_runner.display.progress import Figures, PoolFigures

_PREFIX: Final = "clipgrove_"
_SOURCE_STATES: Final = ("written", "filtered", "failed", "pending")
_FILTERED: Final = "filtered:"
_SITE_COUNTS: Final = {"requests:": "requests", "bytes:": "download_bytes", "refused:": "refusals"}
"""Prefixes of counts by site; sites are added up, because a label must have few values."""

_Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Metric:
    """One metric as Ray knows it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """Names under which Prometheus has it."""
        name = f"ray_{_PREFIX}{self.name}"
        if self.kind == "histogram":
            return (f"{name}_bucket", f"{name}_sum", f"{name}_count")
        return (f"{name}_total",) if self.kind == "counter" else (name,)


METRICS: Final = (
    Metric("run_seconds", "gauge", "Seconds since the run began."),
    Metric("run_seconds_left", "gauge", "Seconds until the last shard, at the pace so far."),
    Metric("shards", "gauge", "Shards that a stage has to do in this run.", ("stage",)),
    Metric("shards_done", "counter", "Shards that have left a stage.", ("stage",)),
    Metric("clips", "counter", "Clips that a stage has worked on.", ("stage",)),
    Metric("video_seconds", "counter", "Seconds of video that a stage has worked on.", ("stage",)),
    Metric("tokens", "counter", "Tokens of a stage's requests (prompt) and answers (completion).", ("stage", "kind")),
    Metric("sources", "counter", "Sources of finished shards, by state.", ("state",)),
    Metric("filtered_sources", "counter", "Sources that are not wanted, by class.", ("class",)),
    Metric("failures", "counter", "Failures of a stage, by class: sources of media, clips of other stages.",
           ("stage", "class")),
    Metric("requests", "counter", "Requests to sites."),
    Metric("download_bytes", "counter", "Bytes received from sites."),
    Metric("refusals", "counter", "Attempts that a site refused."),
    Metric("workers", "gauge", "Workers of a stage or a service that have reported.", ("pool",)),
    Metric("worker_seconds", "counter", "Seconds of workers with work (busy) and without (idle).", ("pool", "work")),
    Metric("queue_seconds", "counter", "Seconds in which a call waited for a free place in a host of a service.",
           ("pool",)),
    Metric("shard_seconds", "histogram", "Seconds that one shard took in a stage.", ("stage",)),
)  # fmt: skip
"""Everything that is exported."""

_BOUNDARIES: Final = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0]
"""Seconds; upper bounds of the histogram's buckets."""
_BY_NAME: Final = {metric.name: metric for metric in METRICS}


class RunMetrics:
    """The metrics of one run on Ray, which must be connected."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._last: dict[tuple[str, _Labels], float] = {}

    def set(self, figures: Figures) -> None:
        """Set all metrics but the histogram; a counter never falls, even if live figures do."""
        for name, labels, value in metric_values(figures):
            metric = self._metric(name)
            if _BY_NAME[name].kind == "gauge":
                metric.set(value, dict(labels))
                continue
            growth = value - self._last.get((name, labels), 0.0)
            if growth > 0:
                metric.inc(growth, dict(labels))
                self._last[name, labels] = value

    def observe(self, stage: str, seconds: float) -> None:
        """Add one shard of a stage to the histogram."""
        self._metric("shard_seconds").observe(seconds, {"stage": stage})

    def _metric(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _made(_BY_NAME[name])
        return self._made[name]


def _made(metric: Metric) -> Any:
    from ray.util import metrics

    name, keys = _PREFIX + metric.name, metric.labels
    if metric.kind == "histogram":
        return metrics.Histogram(name, metric.meaning, boundaries=_BOUNDARIES, tag_keys=keys)
    kind = metrics.Counter if metric.kind == "counter" else metrics.Gauge
    return kind(name, metric.meaning, tag_keys=keys)


def metric_values(figures: Figures) -> Iterator[tuple[str, _Labels, float]]:
    """Yield name, labels and value of each metric that the figures state."""
    yield "run_seconds", (), figures.elapsed
    if figures.eta is not None:
        yield "run_seconds_left", (), figures.eta
    for pool in figures.pools:
        yield from _of_pool(pool)
    yield from _of_sites(figures)


def _of_pool(pool: PoolFigures) -> Iterator[tuple[str, _Labels, float]]:
    yield "workers", (("pool", pool.pool),), pool.workers
    yield "worker_seconds", (("pool", pool.pool), ("work", "busy")), pool.busy_seconds
    yield "worker_seconds", (("pool", pool.pool), ("work", "idle")), pool.idle_seconds
    if pool.total is None:
        yield "queue_seconds", (("pool", pool.pool),), pool.queue_seconds
        return
    stage = ("stage", pool.pool)
    yield "shards", (stage,), pool.total
    yield "shards_done", (stage,), pool.done
    counts = pool.counts
    for count, name in (("clips", "clips"), ("seconds", "video_seconds")):
        if count in counts:
            yield name, (stage,), counts[count]
    for count, kind in (("tokens_in", "prompt"), ("tokens", "completion")):
        if count in counts:
            yield "tokens", (stage, ("kind", kind)), counts[count]
    for class_, value in pool.failed.items():
        yield "failures", (stage, ("class", class_)), value
    if "videos" in counts:
        yield from _of_sources(counts)


def _of_sources(counts: Mapping[str, float]) -> Iterator[tuple[str, _Labels, float]]:
    for state in _SOURCE_STATES:
        if state in counts:
            yield "sources", (("state", state),), counts[state]
    for name, value in counts.items():
        if name.startswith(_FILTERED):
            yield "filtered_sources", (("class", name.removeprefix(_FILTERED)),), value


def _of_sites(figures: Figures) -> Iterator[tuple[str, _Labels, float]]:
    sums: dict[str, float] = defaultdict(float)
    for pool in figures.pools:
        for count, value in pool.counts.items():
            prefix, colon, _ = count.partition(":")
            if name := _SITE_COUNTS.get(prefix + colon):
                sums[name] += value
    yield from ((name, (), value) for name, value in sums.items())
