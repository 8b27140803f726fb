"""Runs stages in this process without Ray (``--address local``), for debugging: stage after stage, shard by shard.

It takes the same stages and services as the Ray runner, shows and logs the same figures and gives the same report.
Three things differ. Workers run in this process, so ``breakpoint()`` and a debugger reach them. An exception that a
worker raises is logged and propagates with its traceback. Nothing is retried: a crash of the interpreter ends the run.
Imports no Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from runtime.errors import one_line
from runtime.ray_runner.cluster import child_processes, kill_processes
from runtime.ray_runner.display import progress
from runtime.ray_runner.reports import BusyClock, Counts, FinishedShard, Heartbeat, add_counts, failed_shard
from runtime.ray_runner.run_record import RunRecord, RunReport, RunStopped
from runtime.ray_runner.stage import THREADS_PER_SHARD, LocalService, ServiceSpec, ShardResult, StageSpec, Worker
from runtime.ray_runner.telemetry.work_span import WorkPlace
from runtime.stoppable_threads import StoppableThreads

_LAYOUT: Final = "stages run in this process, one after another, without Ray (--address local)"
_TICK_SECONDS: Final = 0.5
_EXIT_SIGTERM: Final = 128 + signal.SIGTERM


def run_locally(stages: Sequence[StageSpec], services: Sequence[ServiceSpec], record: RunRecord) -> RunReport:
    """Run every stage over its shards in this process; see `runtime.ray_runner.runner.run_stages`.

    Pool sizes are ignored: each stage has one worker and one shard in flight. Ctrl-C ends the run with
    `RunReport.interrupted`; a second one does not wait for code that is still running. SIGTERM ends it with
    `SystemExit` 143. In either case the services are closed first, and no worker commits anything afterwards.

    Raises:
        Exception: whatever a worker raised, or the constructor of a worker or of a service.
    """
    return _LocalRun(stages, services, record).run()


class _LocalRun:
    """The worker of one stage at a time, and the services that are open."""

    def __init__(self, stages: Sequence[StageSpec], services: Sequence[ServiceSpec], record: RunRecord) -> None:
        self._stages = stages
        self._specs = {service.name: service for service in services}
        self._record = record
        self._open: dict[str, _OpenService] = {}

    def run(self) -> RunReport:
        """Run all stages, and close the record however they end."""
        fatal, interrupted = None, False
        self._record.start(_LAYOUT)
        try:
            with _exit_on_sigterm():
                self._run_all()
        except KeyboardInterrupt:
            interrupted = True
        except RunStopped as stop:
            fatal = str(stop)
        except BaseException as error:
            by_signal = isinstance(error, SystemExit) and error.code == _EXIT_SIGTERM
            status = "stopped by SIGTERM" if by_signal else one_line(error, keep="last", named=True)
            self._record.close(fatal=status, interrupted=False, streamed=False)
            raise
        return self._record.close(fatal=fatal, interrupted=interrupted, streamed=False)

    def _run_all(self) -> None:
        children = child_processes()
        threads = StoppableThreads(THREADS_PER_SHARD, "worker")
        with asyncio.Runner() as runner:
            runner.get_loop().set_default_executor(threads)
            try:
                for number, stage in enumerate(self._stages):
                    self._run_stage(stage, runner)
                    self._close_services(keep={name for later in self._stages[number + 1 :] for name in later.services})
            except BaseException:
                threads.stop()
                try:
                    self._close_services(keep=())
                finally:
                    threads.wait(lambda: kill_processes(child_processes() - children))
                raise

    def _run_stage(self, stage: StageSpec, runner: asyncio.Runner) -> None:
        new = [name for name in stage.services if name not in self._open]
        self._record.begin([stage.name, *new])
        for number, name in enumerate(new):
            self._record.show(starting=new[number:])
            self._open[name] = _OpenService.build(self._specs[name])
        self._record.show(starting=[stage.name])
        worker = stage.build({name: self._open[name].service for name in stage.services})
        self._record.show(starting=())
        runner.run(self._process_shards(stage, worker))

    async def _process_shards(self, stage: StageSpec, worker: Worker) -> None:
        under_way = _StageUnderWay(stage.name)
        ticks = asyncio.get_running_loop().create_task(self._tick(under_way))
        try:
            for shard in stage.shards:
                await self._process(under_way, worker, shard)
                self._show(under_way)
        finally:
            ticks.cancel()

    async def _process(self, stage: _StageUnderWay, worker: Worker, shard: int) -> None:
        """Have the worker process one shard, and count its result.

        Raises:
            RunStopped: the result is fatal.
            Exception: whatever the worker raised.
        """
        live = stage.live[shard] = {}
        progress.reporter.set(lambda counts: add_counts(live, counts))
        began, clock = time.time(), time.monotonic()
        try:
            with stage.clock:
                result = await worker.process(shard)
                assert isinstance(result, ShardResult), f"process() returned {type(result).__name__}"
        except Exception as error:
            self._record.log_fatal(failed_shard(stage.name, shard, error))
            raise
        span = WorkPlace.of_process().span(began, clock)
        finished = FinishedShard(stage.name, shard, dict(result.counts), result.fatal, span=span)
        if result.fatal is not None:
            self._record.log_fatal(finished)
            raise RunStopped(result.fatal)
        self._record.add_heartbeat(
            _heartbeat(stage.name, stage.clock, stage.live)
        )  # a pool that is done keeps its figures
        self._record.finish(finished)
        del stage.live[shard]

    async def _tick(self, stage: _StageUnderWay) -> None:
        """Show progress while the worker waits; in its thread, so nothing is printed while a breakpoint holds it."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._show(stage)

    def _show(self, stage: _StageUnderWay) -> None:
        self._record.add_heartbeat(_heartbeat(stage.name, stage.clock, stage.live))
        for name, service in self._open.items():
            self._record.add_heartbeat(_heartbeat(name, service.clock, {}))
        self._record.show(starting=())

    def _close_services(self, keep: Collection[str]) -> None:
        with contextlib.ExitStack() as closing:
            for name in [name for name in self._open if name not in keep]:
                closing.callback(self._open.pop(name).service.close)
                self._record.end([name])


@dataclass
class _StageUnderWay:
    """The stage that runs now: its working time, and the live counts of the shard in its worker's hands."""

    name: str
    clock: BusyClock = field(default_factory=BusyClock)
    live: dict[int, Counts] = field(default_factory=dict)


@dataclass(frozen=True)
class _OpenService:
    """A service that has been built, with the clock of its calls."""

    service: LocalService
    clock: BusyClock

    @classmethod
    def build(cls, spec: ServiceSpec) -> _OpenService:
        """Build the engine in this thread; that may take minutes."""
        target, clock = spec.build(), BusyClock()
        return cls(LocalService(target, in_flight=spec.pool.in_flight, clock=clock), clock)


def _heartbeat(pool: str, clock: BusyClock, live: Mapping[int, Counts]) -> Heartbeat:
    busy, idle = clock.read()
    return Heartbeat(pool, "local", busy, idle, {shard: dict(counts) for shard, counts in live.items()})


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Turn the first SIGTERM into `SystemExit` inside the block, if this is the main thread; ignore later ones."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(_EXIT_SIGTERM)
