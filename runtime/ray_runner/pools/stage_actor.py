"""One worker of a stage as a Ray actor: the driver calls it with a shard number and gets the shard's result.

Nothing is raised here but at the death of the process: bad data is a result of the worker, and what it raises
nevertheless becomes a fatal result. Calls that manage the actor run in the concurrency group `CONTROL`, on an event
loop and a thread of their own, so that they are answered while a worker blocks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from runtime.ray_runner.cluster import keep_exit_statuses
from runtime.ray_runner.display import progress
from runtime.ray_runner.pools.node_watch import node_id
from runtime.ray_runner.pools.ray_service import RayService
from runtime.ray_runner.reports import (
    BuildFailure,
    BusyClock,
    Counts,
    FinishedShard,
    Heartbeat,
    add_counts,
    failed_shard,
    failure_of,
)
from runtime.ray_runner.stage import THREADS_PER_SHARD, Service, ShardResult, Worker
from runtime.ray_runner.telemetry.work_span import WorkPlace

CONTROL: Final = "control"
"""Concurrency group of the calls that manage an actor."""
CONTROL_CALLS: Final = 4
"""Calls of the group that may run at a time; one of them waits for the next heartbeat."""


@dataclass(frozen=True)
class StageActorSpec:
    """The arguments of one stage's actors; pickled."""

    stage: str
    build: Callable[[Mapping[str, Service]], Worker]
    services: Mapping[str, RayService]
    in_flight: int


class StageActor:
    """Built by Ray once in each process of a stage's pool and called with every shard. Wrapped by ``ray.remote``."""

    def __init__(self, spec: StageActorSpec, number: int) -> None:
        keep_exit_statuses()
        self._spec = spec
        self._number = number
        self._place = WorkPlace.of_actor()
        self._worker: Worker | None = None
        self._failure: BuildFailure | None = None
        self._live: dict[int, Counts] = {}
        self._has_threads = False
        try:
            self._worker = spec.build(spec.services)
        except Exception as error:  # reported by `ready`: an exception here would reach the driver as a traceback
            self._failure = failure_of(f"stage {spec.stage}", error)
        self._clock = BusyClock()

    async def ready(self) -> str | BuildFailure:
        """Return Ray's id of this node once the worker is built, or the reason why it could not be."""
        return self._failure or node_id()

    async def heartbeat(self, pause: float) -> Heartbeat:
        """Return the worker's state after a pause in seconds."""
        await asyncio.sleep(pause)
        return self._state()

    async def set_hosts(self, service: str, hosts: Mapping[int, Any], version: int) -> None:
        """Take over the hosts of a service that answer now; see `RayService.set_hosts`."""
        self._spec.services[service].set_hosts(hosts, version)

    async def process(self, shard: int) -> tuple[FinishedShard, Heartbeat]:
        """Make the artifact of one shard; return its result, and the worker's state at its end."""
        assert self._worker is not None
        self._set_threads()
        live = self._live[shard] = {}
        progress.reporter.set(lambda counts: add_counts(live, counts))
        with self._clock:
            finished = await self._finished(self._worker, shard)
        del self._live[shard]
        return finished, self._state()

    async def _finished(self, worker: Worker, shard: int) -> FinishedShard:
        began, clock = time.time(), time.monotonic()
        try:
            result = await worker.process(shard)
            assert isinstance(result, ShardResult), f"process() returned {type(result).__name__}"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit and CancelledError too: they would end the process
            return failed_shard(self._spec.stage, shard, error)
        span = self._place.span(began, clock)
        return FinishedShard(self._spec.stage, shard, dict(result.counts), result.fatal, span=span)

    def _state(self) -> Heartbeat:
        busy, idle = self._clock.read()
        live = {shard: dict(counts) for shard, counts in list(self._live.items())}
        return Heartbeat(self._spec.stage, str(self._number), busy, idle, live)

    def _set_threads(self) -> None:
        """Give each shard threads of its own: Ray's event loop has a handful for all blocking work."""
        if not self._has_threads:
            number = THREADS_PER_SHARD * self._spec.in_flight
            threads = ThreadPoolExecutor(number, thread_name_prefix=self._spec.stage)
            asyncio.get_running_loop().set_default_executor(threads)
            self._has_threads = True
