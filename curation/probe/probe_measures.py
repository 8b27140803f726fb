"""What a probe took, shard by shard: seconds of each pool, tokens, bytes and requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curation.probe.probe_sample import mean_seconds, total_seconds
from curation.reporting.run_costs import BYTES_IN, REQUESTS, added_by_prefix
from curation.reporting.run_logs import LOG
from curation.sources.source_rows import SourceRow
from curation.sources.source_states import SourceStates
from runtime.ray_runner.display.progress import PoolFigures
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.stage import PoolSettings
from runtime.ray_runner.telemetry.shard_trace import TracedSpan, read_trace
from shards.keys import shard_name
from shards.storage.store import Store

_PROMPT: Final = "tokens_in"
_COMPLETION: Final = "tokens"
ByShard = Mapping[int, float]


@dataclass(frozen=True)
class PoolMeasure:
    """One stage or service in the probe."""

    pool: str
    is_stage: bool
    cpus: float
    gpus: float
    workers: int
    """Workers that it had."""
    most: int
    """Workers that it may have by its settings."""
    busy: ByShard
    """Seconds that workers had work, by shard."""


@dataclass(frozen=True)
class ProbeMeasures:
    """What the probe took."""

    shards: ByShard
    """Weight of each shard: its seconds of video; its number of sources if no duration is known."""
    pools: tuple[PoolMeasure, ...]
    stored: ByShard
    """Bytes."""
    tokens_in: ByShard
    tokens_out: ByShard
    requests: ByShard
    bytes_in: ByShard
    start_seconds: float
    """From the command to the first work, and from the last work to the end."""
    held_start_seconds: float
    """The part of `start_seconds` in which workers were held already."""
    one_shard_seconds: float
    """Seconds in which one shard passes through all stages."""
    streamed: bool

    @property
    def weight(self) -> float:
        """Weight of all shards."""
        return sum(self.shards.values())


def measure(report: RunReport, store: Store, resources: Mapping[str, PoolSettings]) -> ProbeMeasures:
    """Return the measures of a probe that has ended.

    Args:
        report: of its run.
        store: its DIR, with the trace.
        resources: the pools of the pipeline.
    """
    spans = [span for path in sorted((Path(store.root) / LOG).glob("*.trace.json")) for span in read_trace(path)]
    rows = _rows_by_shard(store)
    spans = [span for span in spans if span.shard in rows]
    stages = [span.stage for span in spans]
    first, last = min(s.began for s in spans), max(s.began + s.seconds for s in spans)
    pools = [each for each in report.pools if each.most_workers and each.unit == "shard"]  # tables take seconds
    held = max(each.worker_seconds / each.most_workers for each in pools)
    start = max(report.elapsed - (last - first), 0.0)
    return ProbeMeasures(
        shards=_weights(rows),
        pools=tuple(_pool(each, spans, resources) for each in pools),
        stored=_stored(store, rows),
        tokens_in=_counted(spans, _PROMPT),
        tokens_out=_counted(spans, _COMPLETION),
        requests=_counted(spans, REQUESTS) or {s: float(sum(map(_is_url, each))) for s, each in rows.items()},
        bytes_in=_counted(spans, BYTES_IN),
        start_seconds=start,
        held_start_seconds=min(max(held - (last - first), 0.0), start),
        one_shard_seconds=sum(_mean(s.seconds for s in spans if s.stage == stage) for stage in dict.fromkeys(stages)),
        streamed=report.streamed,
    )


def _rows_by_shard(store: Store) -> dict[int, list[SourceRow]]:
    rows: dict[int, list[SourceRow]] = defaultdict(list)
    for source in SourceStates(store).all():
        rows[source.row.shard].append(source.row)
    return dict(rows)


def _weights(rows: Mapping[int, list[SourceRow]]) -> ByShard:
    mean = mean_seconds(row for each in rows.values() for row in each) or 1.0
    return {shard: total_seconds(each, mean) for shard, each in rows.items()}


def _pool(figures: PoolFigures, spans: Iterable[TracedSpan], resources: Mapping[str, PoolSettings]) -> PoolMeasure:
    """Return a pool's measures; its busy seconds are divided among the shards by the length of their spans.

    A service has no spans; its seconds are divided by those of all stages.
    """
    is_stage = figures.total is not None
    seconds: dict[int, float] = defaultdict(float)
    for span in spans:
        if span.stage == figures.pool or not is_stage:
            seconds[span.shard] += span.seconds
    whole = sum(seconds.values()) or 1.0
    settings = resources.get(figures.pool)
    return PoolMeasure(
        pool=figures.pool,
        is_stage=is_stage,
        cpus=figures.cpus,
        gpus=figures.gpus,
        workers=figures.most_workers,
        most=max(figures.most_workers, settings.max if settings else 1),
        busy={shard: figures.busy_seconds * part / whole for shard, part in seconds.items()},
    )


def _stored(store: Store, shards: Iterable[int]) -> ByShard:
    sizes = dict.fromkeys(shards, 0.0)
    names = {shard_name(shard): shard for shard in sizes}

    def add(folder: str) -> None:
        for name, entry in store.list(folder).items():
            if (shard := names.get(name.partition(".")[0])) is not None:
                sizes[shard] += entry.size
        for inner in store.folders(folder):
            add(f"{folder}/{inner}" if folder else inner)

    add("")
    return sizes


def _counted(spans: Iterable[TracedSpan], count: str) -> ByShard:
    """Return a count by shard; a name that ends in a colon is the prefix of counts that are added up."""
    sums: dict[int, float] = defaultdict(float)
    for span in spans:
        if value := added_by_prefix(span.counts, count) if count.endswith(":") else span.counts.get(count, 0.0):
            sums[span.shard] += value
    return dict(sums)


def _is_url(row: SourceRow) -> bool:
    return not Path(row.source).is_absolute()


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
