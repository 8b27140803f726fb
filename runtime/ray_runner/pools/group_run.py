"""One group of stages on Ray, with the services that they call: its pools, its shards, and the loop that drives them.

The driver's thread gives each worker its next shard as soon as the answer to the last one comes, so a shard costs two
messages a stage and nothing is kept of it but a bit. Ray Data would make a block, a task and several objects of each
shard, and its actors import Ray Data: `bench/RESULTS.md` has the rates of both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from runtime.errors import MachineError, UserError
from runtime.ray_runner.cluster import Cluster
from runtime.ray_runner.placement import StageGroup
from runtime.ray_runner.pools.actor_pool import ActorPool
from runtime.ray_runner.pools.growth import members_to_add, pools_to_shrink
from runtime.ray_runner.pools.inbox import Inbox
from runtime.ray_runner.pools.node_watch import NodeWatch
from runtime.ray_runner.pools.ray_service import RayService
from runtime.ray_runner.pools.service_pool import ServicePool
from runtime.ray_runner.pools.shard_flow import ShardFlow
from runtime.ray_runner.pools.stage_pool import StagePool
from runtime.ray_runner.reports import FinishedShard
from runtime.ray_runner.run_record import RunRecord, RunStopped
from runtime.ray_runner.stage import ServiceSpec, StageSpec
from runtime.retry_limits import NO_ROOM

POLL_SECONDS: Final = 0.5


class GroupRun:
    """The pools of one group.

    Args:
        stages: in the order of the pipeline.
        services: those that the stages name.
        group: says how many hosts each service starts with.
        cluster: the Ray they run on.
        record: where results and figures go.
    """

    def __init__(
        self,
        stages: Sequence[StageSpec],
        services: Sequence[ServiceSpec],
        group: StageGroup,
        cluster: Cluster,
        record: RunRecord,
    ) -> None:
        self._specs = {stage.name: stage for stage in stages}
        self._record = record
        self._can_ask = not cluster.processes
        self._nodes = NodeWatch(cluster.nodes)
        self._inbox = Inbox()
        self._flow = ShardFlow({stage.name: stage.shards for stage in stages})
        self._services = {spec.name: ServicePool(spec, self._send_hosts, self._inbox, record) for spec in services}
        self._stages = {
            spec.name: StagePool(
                spec, partial(self._handles, spec), self._flow, self._take_finished, self._inbox, record
            )
            for spec in stages
        }
        self._workers = group.workers
        self._next_poll = 0.0

    def run(self, check: Callable[[], None]) -> None:
        """Run all stages over their shards.

        Args:
            check: called every half second; ends the run by raising.

        Raises:
            RunStopped, UserError, MachineError: the run can't go on.
        """
        self._nodes.start()
        for service in self._services.values():
            service.add(self._workers[service.name])
        for stage in self._stages.values():
            stage.add(stage.least)
        while self._stages:
            self._inbox.handle(POLL_SECONDS)
            if all(stage.was_ready for stage in self._stages.values()):
                for stage in self._stages.values():
                    stage.dispatch()
            if time.monotonic() >= self._next_poll:
                self._next_poll = time.monotonic() + POLL_SECONDS
                check()
                self._show()
                self._resize()

    def stop(self) -> None:
        """Record the shards that were finished meanwhile, and end all processes."""
        self._nodes.stop()
        try:
            self._inbox.handle(0)
        except (RunStopped, UserError, MachineError):
            pass  # the run ends for the first reason
        finally:
            for pool in self._pools():
                pool.stop()

    def _pools(self) -> list[ActorPool]:
        return [*self._services.values(), *self._stages.values()]

    def _handles(self, stage: StageSpec) -> Mapping[str, RayService]:
        return {name: self._services[name].handle() for name in stage.services}

    def _send_hosts(self, service: str, hosts: Mapping[int, Any], version: int) -> None:
        for name, stage in self._stages.items():
            if service in self._specs[name].services:
                stage.send_hosts(service, hosts, version)

    def _take_finished(self, finished: FinishedShard) -> None:
        """Pass a shard on; end the run if its result is fatal, and pools that have no more to do."""
        if finished.fatal is not None:
            self._record.log_fatal(finished)
            raise UserError(finished.fatal) if finished.blame == "user" else RunStopped(finished.fatal)
        self._flow.finish(finished.stage, finished.shard)
        self._record.finish(finished)
        if not self._flow.left(finished.stage):
            self._stages.pop(finished.stage).stop()
            self._end_services()

    def _end_services(self) -> None:
        """End the services that no stage with work names."""
        in_use = {name for stage in self._stages for name in self._specs[stage].services}
        for name in self._services.keys() - in_use:
            self._services.pop(name).stop()
            self._record.end([name])

    def _show(self) -> None:
        self._record.show(starting=[pool.name for pool in self._pools() if not pool.was_ready])

    def _resize(self) -> None:
        """Grow and shrink pools; end the run if one that is needed has had no process for too long."""
        now, pools = time.monotonic(), {pool.name: pool for pool in self._pools()}
        states = [pool.state(now) for pool in pools.values()]
        for name in pools_to_shrink(states, self._nodes.nodes):
            pools[name].give_up_one()
        for name, count in members_to_add(states, self._nodes.nodes, self._can_ask).items():
            pools[name].add(count)
        for pool in pools.values():
            if pool.short_since is not None and now - pool.short_since > NO_ROOM.seconds:
                raise MachineError(
                    f"{pool.kind} {pool.name}: no process of it has come up for {NO_ROOM.seconds / 60:.0f} minutes; "
                    "the cluster lacks the room for it, or starting it takes too long"
                )
