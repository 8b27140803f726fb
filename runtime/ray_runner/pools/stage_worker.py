"""One worker of a stage inside a Ray Data actor pool: it takes a row and returns it with one more result.

A row is one shard and one block. It passes unchanged through a stage that has nothing to do for it, and through all
stages once something is fatal. Nothing is raised here: Ray Data would end the run with a traceback, or retry without
end.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypedDict

import pyarrow as pa

from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.ray_runner.cluster import keep_exit_statuses
from runtime.ray_runner.display import progress
from runtime.ray_runner.pools.coordinator import (
    HEARTBEAT_SECONDS,
    BeginOrder,
    BusyClock,
    Counts,
    FinishedShard,
    Heartbeat,
)
from runtime.ray_runner.pools.coordinator_client import COORDINATOR_LOST
from runtime.ray_runner.pools.services import failure_of
from runtime.ray_runner.stage import THREADS_PER_SHARD, Service, ShardResult, Worker
from runtime.ray_runner.table_stage import WHOLE_TABLE, describe_row
from runtime.ray_runner.telemetry.work_span import WorkPlace
from runtime.retry_limits import DEATHS_AT_START

_ROW: Final = pa.schema([("shard", pa.int64()), ("state", pa.string())])


class RowItem(TypedDict):
    """A `ShardRow` as a row of a dataset."""

    shard: int
    state: str
    """All other fields as JSON."""


@dataclass(frozen=True)
class ShardRow:
    """The row of one shard on its way through Ray: its number, its stages, and their results so far."""

    shard: int
    todo: tuple[str, ...]
    """The stages that have work for it."""
    results: Mapping[str, Counts] = field(default_factory=dict)
    """The counts of each stage that has processed it."""
    fatal: str | None = None
    stopped: bool = False
    """True if the run was stopped before a stage could process it."""

    def item(self) -> RowItem:
        """Return the row as an item of a dataset."""
        state = {"todo": self.todo, "results": self.results, "fatal": self.fatal, "stopped": self.stopped}
        return {"shard": self.shard, "state": json.dumps(state)}

    def table(self) -> pa.Table:
        """Return the row as a block of a dataset."""
        return pa.Table.from_pylist([self.item()], schema=_ROW)

    @classmethod
    def of(cls, block: pa.Table) -> ShardRow:
        """Read a block, which must hold exactly one row."""
        assert block.num_rows == 1, f"one shard is one block, got a block of {block.num_rows} rows"
        (item,) = block.to_pylist()
        state = json.loads(item["state"])
        return cls(item["shard"], tuple(state["todo"]), state["results"], state["fatal"], state["stopped"])


@dataclass(frozen=True)
class StageActorSpec:
    """The arguments of one stage's actors; pickled."""

    stage: str
    build: Callable[[Mapping[str, Service]], Worker]
    services: Mapping[str, Service]
    in_flight: int
    deaths: int
    """Times a worker's process may die on one shard."""
    coordinator: Any
    """Handle of the `RunCoordinator` actor."""


class StageActor:
    """Built by Ray Data once in each actor of a stage's pool and called with every row."""

    def __init__(self, spec: StageActorSpec) -> None:
        import ray

        keep_exit_statuses()
        self._spec = spec
        self._coordinator = spec.coordinator
        self._id = ray.get_runtime_context().get_actor_id()
        self._place = WorkPlace.of_actor()
        self._broken: FinishedShard | None = None
        self._worker: Worker | None = None
        self._live: dict[int, Counts] = {}
        self._has_threads = False
        if ray.get(self._coordinator.count_start.remote(spec.stage, self._id)) > 1 + DEATHS_AT_START.count:
            line = (
                f"stage {spec.stage}: its worker died {1 + DEATHS_AT_START.count} times while it started, often memory"
            )
            self._broken = FinishedShard(spec.stage, WHOLE_TABLE, {}, line)
        else:
            self._build()
        self._clock = BusyClock()
        ray.get(self._coordinator.worker_ready.remote(spec.stage, self._id))
        threading.Thread(target=self._send_heartbeats, daemon=True, name="heartbeat").start()

    async def __call__(self, block: pa.Table) -> pa.Table:
        """Process one row, or pass it on."""
        row = ShardRow.of(block)
        stage = self._spec.stage
        if stage not in row.todo or row.fatal or row.stopped:
            return block
        import ray

        try:
            order: BeginOrder = await self._coordinator.begin.remote(stage, row.shard, bool(row.results))
            if order == "stop":
                return replace(row, stopped=True).table()
            finished = self._give_up(row.shard) if order == "dead" else await self._process(row.shard)
            await self._coordinator.finish.remote(finished)
        except ray.exceptions.RayActorError:
            return replace(row, fatal=COORDINATOR_LOST).table()
        self._live.pop(row.shard, None)
        return replace(row, results={**row.results, stage: finished.counts}, fatal=finished.fatal).table()

    def _build(self) -> None:
        stage = self._spec.stage
        try:
            self._worker = self._spec.build(self._spec.services)
        except Exception as error:  # reported with the first row: an exception here would end the run with a traceback
            failure = failure_of(f"stage {stage}", error)
            blame = failure.blame
            self._broken = FinishedShard(stage, WHOLE_TABLE, {}, failure.message, traceback.format_exc(), blame)

    def _give_up(self, shard: int) -> FinishedShard:
        where = "its table" if shard == WHOLE_TABLE else f"shard {shard}"
        line = (
            f"stage {self._spec.stage}: its worker died {1 + self._spec.deaths} times on {where}; see the end of its "
            "output in Ray's logs; often the cause is memory or a crash in a decoder"
        )
        return FinishedShard(self._spec.stage, shard, {}, line)

    async def _process(self, shard: int) -> FinishedShard:
        if self._broken is not None:
            return replace(self._broken, shard=shard)
        assert self._worker is not None
        self._set_threads()
        live = self._live[shard] = {}
        progress.reporter.set(lambda counts: add_counts(live, counts))
        began, clock = time.time(), time.monotonic()
        with self._clock:
            try:
                result = await self._worker.process(shard)
                assert isinstance(result, ShardResult), f"process() returned {type(result).__name__}"
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit and CancelledError too: they would stop Ray Data's loop
                return failed_shard(self._spec.stage, shard, error)
        span = self._place.span(began, clock)
        return FinishedShard(self._spec.stage, shard, dict(result.counts), result.fatal, span=span)

    def _set_threads(self) -> None:
        """Give each shard threads of its own: Ray's event loop has a handful for all blocking work."""
        if not self._has_threads:
            number = THREADS_PER_SHARD * self._spec.in_flight
            threads = ThreadPoolExecutor(number, thread_name_prefix=self._spec.stage)
            asyncio.get_running_loop().set_default_executor(threads)
            self._has_threads = True

    def _send_heartbeats(self) -> None:
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            busy, idle = self._clock.read()
            live = {shard: dict(counts) for shard, counts in list(self._live.items())}
            self._coordinator.heartbeat.remote(Heartbeat(self._spec.stage, self._id, busy, idle, live))


def failed_shard(stage: str, shard: int, error: BaseException) -> FinishedShard:
    """Return the result of a shard at which the worker raised: always fatal, because bad data never raises."""
    where = describe_row(stage, shard)
    if isinstance(error, UserError):
        return FinishedShard(stage, shard, {}, str(error), blame="user")
    if isinstance(error, MachineError):
        return FinishedShard(stage, shard, {}, f"{where}: {error}")
    trace = "".join(traceback.format_exception(error))
    kind = "this machine can't go on" if is_machine_fault(error) else "unexpected"
    line = f"{where}: {kind} ({one_line(error, keep='last', named=True)})"
    return FinishedShard(stage, shard, {}, line, trace)


def add_counts(live: Counts, counts: Mapping[str, float]) -> None:
    """Add `counts` to `live` in place."""
    for name, value in counts.items():
        live[name] = live.get(name, 0.0) + value
