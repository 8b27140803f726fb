"""The workers of one stage: hands them ready shards, takes their results, and repeats the shards of a lost worker."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, ClassVar

from runtime.ray_runner.pools.actor_pool import ActorPool, PoolProcess, on_node, remote_class
from runtime.ray_runner.pools.growth import PoolState
from runtime.ray_runner.pools.inbox import Inbox
from runtime.ray_runner.pools.ray_service import RayService
from runtime.ray_runner.pools.shard_flow import ShardFlow
from runtime.ray_runner.pools.stage_actor import StageActor, StageActorSpec
from runtime.ray_runner.reports import FinishedShard, Heartbeat
from runtime.ray_runner.run_record import RunRecord, RunStopped
from runtime.ray_runner.stage import StageSpec
from runtime.ray_runner.table_stage import WHOLE_TABLE
from runtime.retry_limits import IDLE_WORKER


class StagePool(ActorPool):
    """The workers of one stage.

    Args:
        spec: the stage.
        services: returns the handles of the services that the stage names, with the hosts that answer now.
        flow: gives the shards.
        finish: called with each result that is not fatal.
        inbox: where the answers of the workers go.
        record: where their heartbeats go.
    """

    kind: ClassVar[str] = "stage"

    def __init__(
        self,
        spec: StageSpec,
        services: Callable[[], Mapping[str, RayService]],
        flow: ShardFlow,
        finish: Callable[[FinishedShard], None],
        inbox: Inbox,
        record: RunRecord,
    ) -> None:
        super().__init__(spec.name, spec.pool, inbox, record)
        self._spec = spec
        self._services = services
        self._flow = flow
        self._finish = finish
        self._class = remote_class(StageActor, spec.pool, spec.pool.in_flight, spread=True)
        self._free: list[tuple[int, int]] = []
        """A heap of the loads and numbers of workers with a free place; entries may be out of date."""
        self._deaths: dict[int, int] = defaultdict(int)
        self._is_begun = False

    @property
    def least(self) -> int:
        """The pool's minimum, but no more than there are shards left."""
        return min(max(1, self.settings.min), self._flow.left(self.name))

    def state(self, now: float) -> PoolState:
        """Return what decides if the pool grows or shrinks."""
        idle = [now - member.idle_since for member in self.ready_members() if not member.shards]
        more_may_come = self._flow.left(self.name) > self._flow.in_hand(self.name)
        return PoolState(
            self.name,
            self.settings,
            least=self.least,
            members=len(self.members),
            ready=len(self.ready_members()),
            wanted=-(-self._flow.ready(self.name) // self.settings.in_flight) if self._is_begun else 0,
            spare=max(idle, default=-1.0) >= (IDLE_WORKER.seconds if more_may_come else 0.0),
        )

    def dispatch(self) -> None:
        """Hand ready shards to the workers with the fewest, as long as one has a free place."""
        self._is_begun = True
        while self._flow.ready(self.name) and (member := self._next_free()) is not None:
            shard = self._flow.take(self.name)
            assert shard is not None
            self._hand(shard, member)
            self._note_free(member)

    def send_hosts(self, service: str, hosts: Mapping[int, Any], version: int) -> None:
        """Tell every worker which hosts of a service answer now; a lost worker is noticed by its other calls."""
        for member in self.members.values():
            self._control(member, "set_hosts", service, hosts, version)

    def _remote(self, number: int, node: str | None) -> Any:
        spec = self._spec
        arguments = StageActorSpec(spec.name, spec.build, self._services(), spec.pool.in_flight)
        chosen = self._class if node is None else on_node(self._class, node)
        return chosen.remote(arguments, number)

    def _on_ready(self, member: PoolProcess) -> None:
        kept, member.kept = member.kept, ()
        for shard in kept:
            self._hand(shard, member)
        self._note_free(member)

    def _hand(self, shard: int, member: PoolProcess) -> None:
        member.shards.add(shard)
        self._inbox.watch(member.actor.process.remote(shard), partial(self._take_result, member, shard))

    def _put_back(self, member: PoolProcess) -> None:
        for shard in sorted({*member.shards, *member.kept}, reverse=True):
            self._flow.put_back(self.name, shard)

    def _on_end(self, member: PoolProcess) -> None:
        """Do nothing: entries of workers that have ended are skipped."""

    def _note_free(self, member: PoolProcess) -> None:
        if len(member.shards) < self.settings.in_flight:
            heapq.heappush(self._free, (len(member.shards), member.number))

    def _next_free(self) -> PoolProcess | None:
        while self._free:
            load, number = heapq.heappop(self._free)
            member = self.members.get(number)
            if member is not None and len(member.shards) == load:
                return member
        return None

    def _take_result(self, member: PoolProcess, shard: int, answer: Future[tuple[FinishedShard, Heartbeat]]) -> None:
        if not self._is_alive(member, answer):
            return
        finished, heartbeat = answer.result()
        member.shards.discard(shard)
        member.idle_since = time.monotonic()
        self._note_free(member)
        self._on_heartbeat(member, heartbeat)
        self._finish(finished)

    def _count_death(self, member: PoolProcess) -> None:
        """Count a death against each shard in the worker's hands; one without any counts against the pool.

        Raises:
            RunStopped: there were too many.
        """
        for shard in member.shards:
            self._deaths[shard] += 1
        worst = max(member.shards, key=lambda shard: self._deaths[shard], default=None)
        if worst is None:
            super()._count_death(member)
        elif self._deaths[worst] > self._spec.deaths:
            raise RunStopped(self._too_many_deaths(worst))

    def _too_many_deaths(self, shard: int) -> str:
        where = "its table" if shard == WHOLE_TABLE else f"shard {shard}"
        return (
            f"stage {self.name}: its worker died {self._deaths[shard]} times on {where}; see the end of its output in "
            "Ray's logs; often the cause is memory or a crash in a decoder"
        )
