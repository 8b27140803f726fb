"""Runs stages on Ray: each is a pool of workers that get one shard after another, and results come as a stream.

Stages that fit the machine together stream; otherwise they run one after another (`runtime.ray_runner.placement`). The
driver hands out the shards and watches (`runtime.ray_runner.pools.group_run`): it shows progress, and ends the run on
the first fatal result, on Ctrl-C or SIGTERM, or when a worker or a service can't be started. With ``--address local``
the same stages run without Ray (`runtime.ray_runner.local`). Ray's driver is a process of its own, because Ray ends its
driver without a word when one of its servers dies (`runtime.ray_runner.driver`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.errors import MachineError, one_line
from runtime.ray_runner.cluster import LOCAL_ADDRESS, Cluster, ClusterSettings, connected, is_connected
from runtime.ray_runner.display.progress_view import announce, open_display
from runtime.ray_runner.driver.ray_job import RayJob
from runtime.ray_runner.driver.supervisor import run_in_driver
from runtime.ray_runner.interrupts import InterruptFlag
from runtime.ray_runner.local import run_locally
from runtime.ray_runner.node_wait import place_on
from runtime.ray_runner.placement import Placement, StageGroup
from runtime.ray_runner.pools.group_run import GroupRun
from runtime.ray_runner.run_record import OnResult, RunRecord, RunReport, RunStopped
from runtime.ray_runner.stage import ServiceSpec, StageSpec
from runtime.ray_runner.table_stage import AnyStageSpec, as_row_stages
from runtime.ray_runner.telemetry.run_metrics import RunMetrics


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
            placement = place_on(cluster, job)
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

        stages = [self._stages[name] for name in group.stages]
        services = [self._services[name] for name in group.services]
        run = GroupRun(stages, services, group, self._cluster, self._record)
        self._record.begin([*group.stages, *group.services])
        try:
            run.run(self._interrupt.check)
            self._record.check_complete(stages)
            self._record.end(group.services)
        except ray.exceptions.RayError as error:
            raise RunStopped(f"Ray gave up: {one_line(error, keep='last', named=True)}") from error
        finally:
            run.stop()
