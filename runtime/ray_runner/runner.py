"""Runs stages on Ray Data: one row is one shard is one block, each stage is an actor pool, results come as a stream.

Stages that fit the machine together form one streaming dataset; otherwise each has a dataset of its own, one after
another (`runtime.ray_runner.placement`). The driver watches: it shows progress, and ends the run on the first fatal
result, on Ctrl-C or SIGTERM, or when a service can't be started. A stage's function never raises
(`runtime.ray_runner.pools.stage_worker`). With ``--address local`` the same stages run without Ray
(`runtime.ray_runner.local`). Ray's driver is a process of its own, because Ray ends its driver without a word when one
of its servers dies (`runtime.ray_runner.driver`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from runtime.errors import MachineError, UserError, one_line
from runtime.ray_runner.cluster import LOCAL_ADDRESS, Cluster, ClusterSettings, connected, is_connected
from runtime.ray_runner.display.progress_view import announce, open_display
from runtime.ray_runner.driver.ray_job import RayJob
from runtime.ray_runner.driver.supervisor import run_in_driver
from runtime.ray_runner.interrupts import InterruptFlag
from runtime.ray_runner.local import run_locally
from runtime.ray_runner.placement import MachineNode, Placement, StageGroup, place
from runtime.ray_runner.pools.coordinator import FinishedShard, WorkerUpdates
from runtime.ray_runner.pools.coordinator_client import CoordinatorClient
from runtime.ray_runner.pools.services import ServicePool
from runtime.ray_runner.pools.stage_worker import ShardRow
from runtime.ray_runner.run_record import OnResult, RunRecord, RunReport, RunStopped
from runtime.ray_runner.stage import ServiceSpec, StageSpec
from runtime.ray_runner.table_stage import AnyStageSpec, as_row_stages
from runtime.ray_runner.telemetry.run_metrics import RunMetrics
from runtime.retry_limits import RAY_STOP_SECONDS

if TYPE_CHECKING:
    from runtime.ray_runner.pools.ray_dataset import ShardStream

POLL_SECONDS: Final = 0.5


def run_stages(
    stages: Sequence[AnyStageSpec],
    services: Sequence[ServiceSpec],
    *,
    cluster: ClusterSettings,
    log_folder: Path | None,
    title: str,
    quiet: bool = False,
    on_result: OnResult | None = None,
    stages_in_turn: bool | None = None,
) -> RunReport:
    """Run every stage over its shards; if no stage has any, Ray is not even imported.

    A Ray that this process has connected is used as it is; otherwise a child process connects to Ray, and what stages
    and services are built from is pickled for it. With ``cluster.address="local"`` everything runs in this process,
    without Ray: see `runtime.ray_runner.local.run_locally`. An exception raised by a worker then propagates.

    Args:
        stages: in pipeline order; a shard goes through them in that order and skips those that don't list it. A
            `TableStageSpec` starts when all stages before it are done, and is one shard (`WHOLE_TABLE`) in the
            report and for `on_result`.
        services: the pools that stages name; only those needed are started.
        cluster: the Ray to use, or none.
        log_folder: local folder for a file of JSON lines; None: no log.
        title: heads the live view.
        quiet: show nothing.
        on_result: called in this process once for each finished shard of each stage, as soon as it is known.
        stages_in_turn: True: one stage after another even if all fit; False: refuse if they don't; None: stream if
            the machine allows it. Ignored without Ray.

    Raises:
        UserError: the machine is too small for one stage, nothing answers at the address, or a stage or a service
            can't be built for a reason that the user can remove.
        MachineError: Ray can't be started. Later failures of the machine are reported in `RunReport.fatal`.
    """
    todo = [stage for stage in as_row_stages(stages) if stage.shards]
    if not todo:
        return RunReport()
    job = RayJob(todo, services, cluster, log_folder, title, quiet, stages_in_turn)
    if cluster.address == LOCAL_ADDRESS:
        with open_display(title, log_folder, quiet, redraw=False) as shown:
            return run_locally(todo, services, RunRecord(todo, services, shown, on_result, job.started))
    return run_on_ray(job, on_result) if is_connected() else run_in_driver(job, on_result)


def run_on_ray(
    job: RayJob, on_result: OnResult | None, on_cluster: Callable[[Cluster | None], None] | None = None
) -> RunReport:
    """Run the stages of `job` with this process as Ray's driver; see `run_stages`.

    Args:
        job: the stages, in rows, that have work.
        on_result: as for `run_stages`.
        on_cluster: called with the cluster once Ray is up, and with None before it is shut down.
    """
    if not job.quiet:
        announce(f"{job.title}: starting Ray")
    with connected(job.cluster) as cluster:
        if on_cluster:
            on_cluster(cluster)
        try:
            placement = place(job.stages, job.services, cluster.nodes, job.stages_in_turn)
            with open_display(job.title, job.log_folder, job.quiet) as shown:
                record = RunRecord(job.stages, job.services, shown, on_result, job.started, RunMetrics())
                return _StageRun(job.stages, job.services, cluster, placement, record).run()
        finally:
            if on_cluster:
                on_cluster(None)


class _StageRun:
    """One run on Ray: its groups of stages, one group after another."""

    def __init__(
        self,
        stages: Sequence[StageSpec],
        services: Sequence[ServiceSpec],
        cluster: Cluster,
        placement: Placement,
        record: RunRecord,
    ) -> None:
        self._stages = {stage.name: stage for stage in stages}
        self._services = {service.name: service for service in services}
        self._cluster = cluster
        self._placement = placement
        self._record = record
        self._next_poll = 0.0
        self._interrupt = InterruptFlag()

    def run(self) -> RunReport:
        """Run all groups; see `run_stages`."""
        fatal, interrupted = None, False
        self._record.start(self._placement.why)
        try:
            with self._interrupt.caught():
                for group in self._placement.groups:
                    self._run_group(group)
        except KeyboardInterrupt:
            interrupted = True
        except (RunStopped, MachineError) as stop:
            self._cluster.keep_logs = True
            fatal = str(stop)
        return self._record.close(
            fatal=fatal,
            interrupted=interrupted,
            streamed=self._placement.streams,
            ray_logs=self._cluster.logs if fatal else None,
        )

    def _run_group(self, group: StageGroup) -> None:
        import ray

        from runtime.ray_runner.pools.ray_dataset import ShardStream

        stages = [self._stages[name] for name in group.stages]
        coordinator = CoordinatorClient({stage.name: stage.deaths for stage in stages})
        pools = [ServicePool(self._services[n], group.workers[n], coordinator.actor) for n in group.services]
        handles = {pool.name: pool.handle() for pool in pools}
        stream = ShardStream(stages, handles, coordinator.actor, self._limits(pools))
        self._record.begin([*group.stages, *group.services])
        try:
            self._watch(stream, coordinator, pools)
            self._record.check_complete(stages)
            self._record.end(group.services)
        except ray.exceptions.RayError as error:
            raise RunStopped(f"Ray gave up: {one_line(error, keep='last', named=True)}") from error
        finally:
            self._end_group(stream, pools, coordinator)

    def _watch(self, stream: ShardStream, coordinator: CoordinatorClient, pools: Sequence[ServicePool]) -> None:
        for row in stream.rows(POLL_SECONDS):
            if row is not None:
                self._take_row(row)
                coordinator.not_ready -= row.results.keys()
            self._poll(coordinator, pools, force=row is not None and row.fatal is not None)
            if row is not None and row.fatal:  # the coordinator has the details, unless its process died
                raise RunStopped(row.fatal)

    def _limits(self, pools: Sequence[ServicePool]) -> MachineNode:
        """Return the resources that the services leave for Ray Data."""
        nodes = self._cluster.nodes
        taken = [(self._services[p.name].pool, len(p.hosts)) for p in pools]
        return MachineNode(
            cpus=sum(n.cpus for n in nodes) - sum(pool.cpus * count for pool, count in taken),
            gpus=sum(n.gpus for n in nodes) - sum(pool.gpus * count for pool, count in taken),
        )

    def _take_row(self, row: ShardRow) -> None:
        finished = list(row.results.items())[: -1 if row.fatal else None]
        for stage, counts in finished:
            self._record.finish(FinishedShard(stage, row.shard, counts))

    def _take_updates(self, updates: WorkerUpdates) -> FinishedShard | None:
        """Record the workers' reports; return the first fatal result, if there is one."""
        for heartbeat in updates.heartbeats:
            self._record.add_heartbeat(heartbeat)
        for finished in updates.finished:
            if finished.fatal is None:
                self._record.finish(finished)
        return next((finished for finished in updates.finished if finished.fatal is not None), None)

    def _give_up(self, finished: FinishedShard, pools: Sequence[ServicePool]) -> NoReturn:
        """End the run for a fatal result; if a service failed to start, its message is the better one."""
        self._record.log_fatal(finished)
        for pool in pools:
            pool.check(patience=1.0)
        raise UserError(finished.fatal) if finished.blame == "user" else RunStopped(finished.fatal)

    def _poll(self, coordinator: CoordinatorClient, pools: Sequence[ServicePool], force: bool = False) -> None:
        """Take in reports of the workers and the services, and show progress; at most every half second.

        With `force`, which says that a row has a fatal result, do so now and wait longer for its details.
        """
        now = time.monotonic()
        self._interrupt.check()
        if now < self._next_poll and not force:
            return
        self._next_poll = now + POLL_SECONDS
        for pool in pools:
            pool.check()
        updates = coordinator.updates(RAY_STOP_SECONDS.seconds if force else POLL_SECONDS)
        if updates is not None:
            fatal = self._take_updates(updates)
            if fatal:
                self._give_up(fatal, pools)
        waiting = [pool.name for pool in pools if pool.waiting]
        self._record.show(starting=[*waiting, *coordinator.not_ready])

    def _end_group(self, stream: ShardStream, pools: Sequence[ServicePool], coordinator: CoordinatorClient) -> None:
        """Stop handing out shards, record those finished meanwhile, end the workers and the services."""
        last = coordinator.stop_shards()
        if last is not None:
            self._take_updates(last)
        stream.stop()
        for pool in pools:
            pool.stop()
        coordinator.end()
