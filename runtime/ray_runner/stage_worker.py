"""One worker of a stage inside a Ray Data actor pool: row in, the same row with one more result out.

A row is one shard and one block. It passes untouched through a stage that has nothing to do for it, and through all
stages once something is fatal. Nothing is raised here: Ray Data would end the run with a traceback, or try again for
ever.
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
from typing import Any, Final

import pyarrow as pa

from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.ray_runner import progress
from runtime.ray_runner.cluster import keep_exit_statuses
from runtime.ray_runner.coordinator import Beat, Clock, Counts, Done, Order
from runtime.ray_runner.services import failure_of
from runtime.ray_runner.stage import Service, ShardResult, Worker

BEAT_SECONDS: Final = 2.0
THREADS_PER_SHARD: Final = 4
"""Threads for ``asyncio.to_thread`` that a worker has for each shard in flight."""

DEATHS_AT_START: Final = 3
"""How often in a row a worker's process may die before it is ready."""

_ROW: Final = pa.schema([("shard", pa.int64()), ("state", pa.string())])


@dataclass(frozen=True)
class Row:
    """What travels through Ray for one shard: its number, the stages that have work for it, what they said."""

    shard: int
    todo: tuple[str, ...]
    results: Mapping[str, Counts] = field(default_factory=dict)
    fatal: str | None = None
    stopped: bool = False

    def item(self) -> dict[str, Any]:
        """As a row of a dataset."""
        state = {"todo": self.todo, "results": self.results, "fatal": self.fatal, "stopped": self.stopped}
        return {"shard": self.shard, "state": json.dumps(state)}

    def table(self) -> pa.Table:
        """As a block of a dataset."""
        return pa.Table.from_pylist([self.item()], schema=_ROW)

    @classmethod
    def of(cls, block: pa.Table) -> Row:
        """Read a block back; it must hold exactly one row."""
        assert block.num_rows == 1, f"one shard is one block, found {block.num_rows} rows in one"
        (item,) = block.to_pylist()
        state = json.loads(item["state"])
        return cls(item["shard"], tuple(state["todo"]), state["results"], state["fatal"], state["stopped"])


class StageCall:
    """What Ray Data builds once in each actor of a stage's pool and calls with every row."""

    def __init__(
        self,
        stage: str,
        build: Callable[[Mapping[str, Service]], Worker],
        services: Mapping[str, Service],
        in_flight: int,
        deaths: int,
        meter: Any,
    ) -> None:
        import ray

        keep_exit_statuses()
        self._stage = stage
        self._in_flight = in_flight
        self._deaths = deaths
        self._meter = meter
        self._id = ray.get_runtime_context().get_actor_id()
        self._broken: Done | None = None
        self._worker: Worker | None = None
        self._live: dict[int, Counts] = {}
        self._has_threads = False
        if ray.get(meter.starting.remote(stage, self._id)) > 1 + DEATHS_AT_START:
            line = f"stage {stage}: its worker died {1 + DEATHS_AT_START} times while it started, often memory"
            self._broken = Done(stage, -1, {}, line)
        else:
            self._build(build, services)
        self._clock = Clock()
        ray.get(meter.ready.remote(stage, self._id))
        threading.Thread(target=self._beat, daemon=True, name="beat").start()

    async def __call__(self, block: pa.Table) -> pa.Table:
        """Work on one row, or pass it on."""
        row = Row.of(block)
        if self._stage not in row.todo or row.fatal or row.stopped:
            return block
        order: Order = await self._meter.begin.remote(self._stage, row.shard)
        if order == "stop":
            return replace(row, stopped=True).table()
        done = self._gave_up(row.shard) if order == "dead" else await self._work(row.shard)
        await self._meter.done.remote(done)
        self._live.pop(row.shard, None)
        return replace(row, results={**row.results, self._stage: done.counts}, fatal=done.fatal).table()

    def _build(self, build: Callable[[Mapping[str, Service]], Worker], services: Mapping[str, Service]) -> None:
        try:
            self._worker = build(services)
        except Exception as error:  # told with the first row; an exception here would end the run as prose
            failure = failure_of(f"stage {self._stage}", error)
            self._broken = Done(
                self._stage, -1, {}, failure.message, traceback.format_exc(), "user" if failure.users else "machine"
            )

    def _gave_up(self, shard: int) -> Done:
        line = (
            f"stage {self._stage}: its worker died {1 + self._deaths} times on shard {shard}; "
            "look for its last words in Ray's logs, often memory or a crash in a decoder"
        )
        return Done(self._stage, shard, {}, line)

    async def _work(self, shard: int) -> Done:
        if self._broken is not None:
            return replace(self._broken, shard=shard)
        assert self._worker is not None
        self._threads()
        live = self._live[shard] = {}
        progress.reporter.set(lambda counts: _add(live, counts))
        with self._clock:
            try:
                result = await self._worker.process(shard)
                assert isinstance(result, ShardResult), f"process() returned {type(result).__name__}"
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit and CancelledError too: they would stop Ray Data's loop
                return failed(self._stage, shard, error)
        return Done(self._stage, shard, dict(result.counts), result.fatal)

    def _threads(self) -> None:
        """Ray's event loop has a handful of threads for all blocking work; give each shard its own."""
        if not self._has_threads:
            threads = ThreadPoolExecutor(THREADS_PER_SHARD * self._in_flight, thread_name_prefix=self._stage)
            asyncio.get_running_loop().set_default_executor(threads)
            self._has_threads = True

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            busy, idle = self._clock.read()
            live = {shard: dict(counts) for shard, counts in list(self._live.items())}
            self._meter.beat.remote(Beat(self._stage, self._id, busy, idle, live))


def failed(stage: str, shard: int, error: BaseException) -> Done:
    """What a stage says of a shard at which its worker raised: always fatal, for data never raises."""
    where = f"stage {stage}, shard {shard}"
    if isinstance(error, UserError):
        return Done(stage, shard, {}, str(error), blame="user")
    if isinstance(error, MachineError):
        return Done(stage, shard, {}, f"{where}: {error}")
    trace = "".join(traceback.format_exception(error))
    kind = "this machine can't go on" if is_machine_fault(error) else "unexpected"
    return Done(stage, shard, {}, f"{where}: {kind} ({one_line(error, keep='last', named=True)})", trace)


def _add(live: Counts, counts: Mapping[str, float]) -> None:
    for name, value in counts.items():
        live[name] = live.get(name, 0.0) + value
