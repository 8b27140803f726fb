"""Runs stages on Ray Data: one row is one shard is one block, each stage is an actor pool, results come as a stream.

Stages that fit the machine together form one streaming dataset; else each has a dataset of its own, one after
another (`runtime.ray_runner.placement`). The driver watches: it shows progress, and ends the run on the first fatal line, on
Ctrl-C, or when a service can't be started. A stage's function never raises (`runtime.ray_runner.stage_worker`).
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from runtime.errors import MachineError, UserError, one_line
from runtime.ray_runner.cluster import Cluster, ClusterSettings, connected
from runtime.ray_runner.coordinator import Done, Meter, News
from runtime.ray_runner.placement import Group, Node, place
from runtime.ray_runner.progress import Board
from runtime.ray_runner.progress_view import Display, announce, display
from runtime.ray_runner.ray_node import START_SECONDS
from runtime.ray_runner.services import ServicePool
from runtime.ray_runner.stage import ServiceSpec, ShardResult, StageSpec
from runtime.ray_runner.stage_worker import Row

if TYPE_CHECKING:
    from runtime.ray_runner.ray_dataset import Flow

OnResult = Callable[[str, int, ShardResult], None]

POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class RunReport:
    """What a run did."""

    done: Mapping[str, int] = field(default_factory=dict)
    """Shards that left each stage."""
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Figures of each stage, added up over its shards."""
    elapsed: float = 0.0
    """Wall seconds, start of Ray included."""
    fatal: str | None = None
    """The line that ended the run early: the machine is at fault."""
    interrupted: bool = False
    """Ended by Ctrl-C."""
    streamed: bool = True
    """All stages ran at once; else they took turns."""
    ray_logs: Path | None = None
    """Folder with the logs of an in-process Ray, kept where the run ended with `fatal`."""


def run_stages(
    stages: Sequence[StageSpec],
    services: Sequence[ServiceSpec],
    *,
    cluster: ClusterSettings,
    log_folder: Path | None,
    title: str,
    quiet: bool = False,
    on_result: OnResult | None = None,
    stages_in_turn: bool | None = None,
) -> RunReport:
    """Run every stage over its shards; Ray is not even imported where no stage has any.

    Args:
        stages: in pipeline order; a shard goes through them in that order, leaving out those that don't list it.
        services: the pools that stages name; only those needed are started.
        cluster: the Ray to use.
        log_folder: local folder for a file of JSON lines; None: no log.
        title: heads the live view.
        quiet: show nothing.
        on_result: called in this process once for each stage and shard that is done, as soon as that is known.
        stages_in_turn: True: one stage after another even where all fit; False: refuse where they don't;
            None: as the machine allows.

    Raises:
        UserError: the machine is too small for one stage, nothing answers at the address, or a stage or a service
            can't be built for a reason that the user can mend.
        MachineError: Ray can't be started. What happens later is told by `RunReport.fatal`.
    """
    todo = [stage for stage in stages if stage.shards]
    if not todo:
        return RunReport()
    started = time.monotonic()
    if not quiet:
        announce(f"{title}: starting Ray")
    with connected(cluster) as ray_cluster, display(title, log_folder, quiet) as shown:
        run = _Run(todo, services, ray_cluster, shown, on_result, stages_in_turn, started)
        return run.go()


class _Stop(Exception):
    """Ends the run with a fatal line."""


class _Run:
    """One run: the meter, the board, and the groups of stages one after another."""

    def __init__(
        self,
        stages: Sequence[StageSpec],
        services: Sequence[ServiceSpec],
        cluster: Cluster,
        shown: Display,
        on_result: OnResult | None,
        stages_in_turn: bool | None,
        started: float,
    ) -> None:
        self._placement = place(stages, services, cluster.nodes, stages_in_turn)
        self._stages = {s.name: s for s in stages}
        self._services = {s.name: s for s in services}
        self._cluster = cluster
        self._shown = shown
        self._on_result = on_result
        self._started = started
        used = [name for group in self._placement.groups for name in group.services]
        totals = {s.name: len(s.shards) for s in stages}
        self._board = Board(totals, dict.fromkeys(used), started)
        self._status = self._placement.why
        self._next_poll = 0.0
        self._interrupt = _Interrupt()

    def go(self) -> RunReport:
        """Run all groups; see `run_stages`."""
        fatal, interrupted = None, False
        self._shown.write("start", why=self._placement.why, shards={n: len(s.shards) for n, s in self._stages.items()})
        try:
            with self._interrupt.caught():
                for group in self._placement.groups:
                    self._run_group(group)
        except KeyboardInterrupt:
            interrupted = True
        except (_Stop, MachineError) as stop:
            self._cluster.keep_logs = True
            fatal = str(stop)
        return self._report(fatal, interrupted)

    def _report(self, fatal: str | None, interrupted: bool) -> RunReport:
        now = time.monotonic()
        self._board.tick(now)
        status = fatal or ("stopped by Ctrl-C" if interrupted else "done")
        self._shown.end(self._board.figures(now, whole_run=True), status)
        return RunReport(
            done=self._board.shards_done(),
            counts=self._board.counts(),
            elapsed=now - self._started,
            fatal=fatal,
            interrupted=interrupted,
            streamed=self._placement.streams,
            ray_logs=self._cluster.logs if fatal else None,
        )

    def _run_group(self, group: Group) -> None:
        import ray

        from runtime.ray_runner.ray_dataset import Flow

        stages = [self._stages[name] for name in group.stages]
        meter = _start_meter(stages)
        pools = [ServicePool(self._services[n], group.workers[n], meter) for n in group.services]
        flow = Flow(stages, {pool.name: pool.handle() for pool in pools}, meter, self._limits(pools))
        self._board.begin(group.stages, time.monotonic())
        try:
            self._watch(flow, meter, pools)
            self._check_complete(stages)
        except ray.exceptions.RayError as error:
            raise _Stop(f"Ray gave up: {one_line(error, keep='last', named=True)}") from error
        finally:
            self._end_group(flow, pools, meter)

    def _watch(self, flow: Flow, meter: Any, pools: Sequence[ServicePool]) -> None:
        for row in flow.rows(POLL_SECONDS):
            if row is not None:
                self._take_row(row)
            self._poll(meter, pools, force=row is not None and row.fatal is not None)
            if row is not None and row.fatal:  # the meter has told more of it, unless it was lost
                raise _Stop(row.fatal)
        self._poll(meter, pools, force=True)

    def _limits(self, pools: Sequence[ServicePool]) -> Node:
        """What is left for Ray Data when the services have taken their part."""
        nodes = self._cluster.nodes
        taken = [(self._services[p.name].pool, len(p.hosts)) for p in pools]
        return Node(
            cpus=sum(n.cpus for n in nodes) - sum(pool.cpus * count for pool, count in taken),
            gpus=sum(n.gpus for n in nodes) - sum(pool.gpus * count for pool, count in taken),
        )

    def _take_row(self, row: Row) -> None:
        finished = list(row.results.items())[: -1 if row.fatal else None]
        for stage, counts in finished:
            self._finish(Done(stage, row.shard, counts))

    def _finish(self, done: Done) -> None:
        """Book a result once, whichever way it came first."""
        if self._board.finish(done) and self._on_result:
            self._on_result(done.stage, done.shard, ShardResult(done.counts))

    def _hear(self, news: News) -> Done | None:
        """Take in what the workers say; the first fatal result, if there is one."""
        for beat in news.beats:
            self._board.beat(beat)
        for done in news.done:
            if done.fatal is None:
                self._finish(done)
        return next((done for done in news.done if done.fatal is not None), None)

    def _give_up(self, done: Done, pools: Sequence[ServicePool]) -> NoReturn:
        """End the run for a fatal result; a service that failed to start has the better line."""
        self._shown.write("fatal", stage=done.stage, shard=done.shard, line=done.fatal, trace=done.trace)
        for pool in pools:
            pool.check(patience=1.0)
        raise UserError(done.fatal) if done.blame == "user" else _Stop(done.fatal)

    def _poll(self, meter: Any, pools: Sequence[ServicePool], force: bool = False) -> None:
        """Hear the workers and the services, and show how things stand; at most every half second."""
        now = time.monotonic()
        self._interrupt.check()
        if now < self._next_poll and not force:
            return
        self._next_poll = now + POLL_SECONDS
        for pool in pools:
            pool.check()
        news = _news(meter)
        fatal = self._hear(news)
        if fatal:
            self._give_up(fatal, pools)
        self._board.tick(now)
        self._shown.show(self._board.figures(now), self._what_starts(news, pools) or self._status)

    def _what_starts(self, news: News, pools: Sequence[ServicePool]) -> str:
        waiting = [pool.name for pool in pools if pool.waiting] + [s for s, n in news.ready.items() if not n]
        return f"starting {', '.join(waiting)}" if waiting else ""

    def _check_complete(self, stages: Sequence[StageSpec]) -> None:
        for stage in stages:
            missing = self._board.missing(stage.name, stage.shards)
            if missing:
                raise _Stop(f"stage {stage.name}: {len(missing)} shards never came back, shard {missing[0]} first")

    def _end_group(self, flow: Flow, pools: Sequence[ServicePool], meter: Any) -> None:
        """Stop handing out, hear what was done meanwhile, end the workers and the services."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError, MachineError):
            if not flow.ended:
                ray.get(meter.stop.remote(), timeout=10)
                for done in _news(meter).done:
                    if done.fatal is None:
                        self._finish(done)
        flow.stop()
        for pool in pools:
            pool.stop()
        ray.kill(meter)


def _start_meter(stages: Sequence[StageSpec]) -> Any:
    import ray

    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=3, max_concurrency=10_000)(Meter)
    return actor.remote([s.name for s in stages], {s.name: s.deaths for s in stages})


def _news(meter: Any) -> News:
    import ray

    try:
        return ray.get(meter.news.remote(), timeout=START_SECONDS)  # the first call waits for its process too
    except ray.exceptions.RayError as error:
        raise MachineError(f"Ray does not answer any more: {one_line(error, keep='last', named=True)}") from None


class _Interrupt:
    """Ctrl-C as a flag: the first one ends the run at its next turn, and none breaks into the clean-up."""

    def __init__(self) -> None:
        self._asked = False

    def check(self) -> None:
        """Raise `KeyboardInterrupt` where Ctrl-C was pressed."""
        if self._asked:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Catch SIGINT, where this is the thread that gets it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, *_: object) -> None:
        self._asked = True
