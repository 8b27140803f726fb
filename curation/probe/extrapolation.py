"""The extrapolation of a probe to all sources: pure functions.

The work of each pool grows with the seconds of video. The slowest sets the pace: a pool with all of its workers, or the
CPUs and GPUs that stages share. Stages that take turns are added up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from curation.probe.probe_measures import ByShard, PoolMeasure, ProbeMeasures
from curation.reporting.prediction import Estimate, PredictedFigures

_EPSILON = 1e-9


@dataclass(frozen=True)
class Machine:
    """The machines of the whole run; all are alike, and pools grow with their number."""

    nodes: int
    cpus: float | None
    """Logical CPUs of one; None: only the workers that the probe had are known."""
    gpus: float | None


@dataclass(frozen=True)
class _Pace:
    """The wall time of all work, without its start."""

    seconds: float
    limit: str
    cpu_seconds: float
    gpu_seconds: float


def predicted(measures: ProbeMeasures, factor: float, shards: int, machine: Machine) -> tuple[PredictedFigures, str]:
    """Return what all sources take, and what limits the pace.

    Args:
        measures: of the probe.
        factor: seconds of video (or sources) of the whole over those of the probe.
        shards: number of shards of the whole.
        machine: for the run.
    """
    work = {pool.pool: whole(measures, pool.busy, factor) for pool in measures.pools}

    def pace(of: Callable[[Estimate], float]) -> _Pace:
        return _pace(measures, {name: of(estimate) for name, estimate in work.items()}, shards, machine)

    middle, low, high = pace(lambda e: e.value), pace(lambda e: e.low), pace(lambda e: e.high)

    def spread(of: Callable[[_Pace], float]) -> Estimate:
        return Estimate(of(middle), of(low), of(high)).scaled(1 / 3600)

    figures = PredictedFigures(
        hours=spread(lambda p: p.seconds),
        cpu_hours=spread(lambda p: p.cpu_seconds),
        gpu_hours=spread(lambda p: p.gpu_seconds),
        gigabytes=whole(measures, measures.stored, factor / 1e9),
        prompt_tokens=whole(measures, measures.tokens_in, factor),
        completion_tokens=whole(measures, measures.tokens_out, factor),
        requests=whole(measures, measures.requests, factor),
        gigabytes_in=whole(measures, measures.bytes_in, factor / 1e9),
    )
    return figures, middle.limit


def whole(measures: ProbeMeasures, figure: ByShard, factor: float) -> Estimate:
    """Return a figure of all sources: by the mean of the probe's shards, by its cheapest, and by its dearest."""
    rates = [figure.get(shard, 0.0) / weight for shard, weight in measures.shards.items() if weight > 0]
    weight = measures.weight * factor
    mean = sum(figure.values()) / measures.weight
    return Estimate(mean * weight, min(rates) * weight, max(rates) * weight)


def _pace(measures: ProbeMeasures, work: Mapping[str, float], shards: int, machine: Machine) -> _Pace:
    """Return the wall time for some work of each pool, and the CPU- and GPU-seconds that are held meanwhile."""
    stages = [pool for pool in measures.pools if pool.is_stage]
    services = [pool for pool in measures.pools if not pool.is_stage]
    free = None if machine.cpus is None else max(machine.cpus - sum(s.workers * s.cpus for s in services), _EPSILON)
    limits = _limits(measures, work, machine, free)
    streamed = measures.streamed
    limit = max(limits, key=lambda name: limits[name])
    if streamed:
        seconds = limits[limit] * (1 - 1 / shards) + measures.one_shard_seconds
        times = dict.fromkeys((pool.pool for pool in measures.pools), seconds)
    else:
        times = {stage.pool: limits[_named(stage, machine)] for stage in stages}
        seconds = sum(times.values())
        times |= dict.fromkeys((service.pool for service in services), seconds)
    held = {
        p.pool: _held(p, work[p.pool], times[p.pool], machine) * (times[p.pool] + measures.held_start_seconds)
        for p in measures.pools
    }
    return _Pace(
        seconds + measures.start_seconds,
        limit,
        sum(held[p.pool] * p.cpus for p in measures.pools),
        sum(held[p.pool] * p.gpus for p in measures.pools),
    )


def _limits(
    measures: ProbeMeasures, work: Mapping[str, float], machine: Machine, free: float | None
) -> dict[str, float]:
    """Return the seconds that each pool needs with all of its workers, and those of the CPUs and GPUs they share."""
    limits = {_named(pool, machine): work[pool.pool] / _workers(pool, machine) for pool in measures.pools}
    if not measures.streamed:
        services = {_named(pool, machine) for pool in measures.pools if not pool.is_stage}
        return {name: seconds for name, seconds in limits.items() if name not in services}
    stages = [pool for pool in measures.pools if pool.is_stage]
    cpus, gpus = (sum(work[p.pool] * each(p) for p in stages) for each in (lambda p: p.cpus, lambda p: p.gpus))
    if free is not None and cpus:
        limits["CPUs"] = cpus / (free * machine.nodes)
    if machine.gpus and gpus:
        limits["GPUs"] = gpus / (machine.gpus * machine.nodes)
    return limits


def _workers(pool: PoolMeasure, machine: Machine) -> int:
    """Return the workers that a pool may have; a service has as many as there was room for."""
    grows = pool.is_stage and machine.cpus is not None
    return (pool.most if grows else pool.workers) * machine.nodes


def _held(pool: PoolMeasure, work: float, seconds: float, machine: Machine) -> float:
    """Return the workers that are held: of a stage as many as its work needs, at least one on each machine."""
    if not pool.is_stage:
        return pool.workers * machine.nodes
    needed = math.ceil(work / max(seconds, _EPSILON))
    return min(max(needed, pool.workers * machine.nodes), _workers(pool, machine))


def _named(pool: PoolMeasure, machine: Machine) -> str:
    count = _workers(pool, machine)
    return f"{pool.pool}, {count:,} worker{'s' * (count != 1)}"
