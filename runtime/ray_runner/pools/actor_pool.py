"""The driver's side of one pool of processes on Ray: starts them, watches them, replaces lost ones, ends them.

`runtime.ray_runner.pools.stage_pool` and `runtime.ray_runner.pools.service_pool` add the work. The actors belong to the
driver: Ray ends them if the driver dies on whatever node, so another driver finds nothing in its way.
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Final

from runtime.errors import one_line
from runtime.ray_runner.pools.growth import PoolState
from runtime.ray_runner.pools.inbox import Inbox
from runtime.ray_runner.pools.lost_process import DeathLog, died_with_its_node
from runtime.ray_runner.pools.stage_actor import CONTROL, CONTROL_CALLS
from runtime.ray_runner.reports import HEARTBEAT_SECONDS, BuildFailure, FinishedShard, Heartbeat
from runtime.ray_runner.run_record import RunRecord, RunStopped
from runtime.ray_runner.stage import PoolSettings
from runtime.ray_runner.table_stage import WHOLE_TABLE

_MEMBERS_PER_HEARTBEAT: Final = 100
"""So many processes send a heartbeat a second at most: the pause grows with their number."""


@dataclass(eq=False)
class PoolProcess:
    """One process of a pool."""

    number: int
    """Never used twice in a pool."""
    actor: Any
    deaths: DeathLog
    """Of the process and of those whose place it took."""
    is_ready: bool = False
    is_leaving: bool = False
    """It gets no more work, and is ended when it has none."""
    node: str | None = None
    """Ray's id of the node it is on; None before it is ready."""
    shards: set[int] = field(default_factory=set)
    """In its hands."""
    kept: tuple[int, ...] = ()
    """Shards of the process whose place it takes: the finished videos of a shard are in the scratch of its node."""
    idle_since: float = field(default_factory=time.monotonic)
    heartbeats: tuple[Heartbeat, ...] = ()
    """The last two."""


class ActorPool(ABC):
    """The processes of one stage or one service.

    Args:
        name: of the stage or the service.
        settings: the pool's.
        inbox: where the answers of its actors go.
        record: where its heartbeats go.
    """

    kind: ClassVar[str]
    """The word for people: ``stage`` or ``service``."""

    def __init__(self, name: str, settings: PoolSettings, inbox: Inbox, record: RunRecord) -> None:
        self.name = name
        self.settings = settings
        self.members: dict[int, PoolProcess] = {}
        self.was_ready = False
        """True once a process of the pool was ready for work."""
        self.short_since: float | None = None
        """Time since which no process of the pool is ready; None while one is."""
        self._inbox = inbox
        self._record = record
        self._created = 0
        self._is_stopped = False

    @property
    @abstractmethod
    def least(self) -> int:
        """Processes that the pool needs."""

    @abstractmethod
    def state(self, now: float) -> PoolState:
        """Return what decides if the pool grows or shrinks."""

    @abstractmethod
    def _remote(self, number: int, node: str | None) -> Any:
        """Start an actor, if possible on the node named."""

    def add(self, count: int) -> None:
        """Start processes; Ray starts each as soon as a node has room for it."""
        for _ in range(count):
            self._add(DeathLog())

    def give_up_one(self) -> None:
        """End the process that is missed least: one that is still starting, otherwise the one idle for the longest."""
        free = [member for member in self.members.values() if not member.shards and not member.kept]
        if free:
            self._dismiss(min(free, key=lambda member: (member.is_ready, member.idle_since)))

    def ready_members(self) -> list[PoolProcess]:
        """Return the processes that are ready for work."""
        return [member for member in self.members.values() if member.is_ready and not member.is_leaving]

    def stop(self) -> None:
        """End all processes."""
        self._is_stopped = True
        for member in list(self.members.values()):
            self._end(member)

    def _dismiss(self, member: PoolProcess) -> None:
        """End a process that has no work."""
        self._end(member)

    def _add(self, deaths: DeathLog, node: str | None = None, kept: Iterable[int] = ()) -> None:
        self._created += 1
        member = PoolProcess(self._created, self._remote(self._created, node), deaths, kept=tuple(kept))
        self.members[member.number] = member
        self._note_short()
        self._inbox.watch(self._control(member, "ready"), partial(self._take_ready, member))

    def _take_ready(self, member: PoolProcess, answer: Future[str | BuildFailure]) -> None:
        if not self._is_alive(member, answer):
            return
        node = answer.result()
        if isinstance(node, BuildFailure):
            self._record.log_fatal(FinishedShard(self.name, WHOLE_TABLE, {}, node.message, node.trace, node.blame))
            raise node.as_error()
        member.is_ready, member.idle_since, member.node = True, time.monotonic(), node
        member.deaths.note_ready()
        self.was_ready, self.short_since = True, None
        self._ask_heartbeat(member, 0.0)
        self._on_ready(member)

    def _ask_heartbeat(self, member: PoolProcess, pause: float | None = None) -> None:
        if pause is None:
            pause = max(HEARTBEAT_SECONDS, len(self.members) / _MEMBERS_PER_HEARTBEAT)
        self._inbox.watch(self._control(member, "heartbeat", pause), partial(self._take_heartbeat, member))

    def _take_heartbeat(self, member: PoolProcess, answer: Future[Heartbeat]) -> None:
        if self._is_alive(member, answer):
            self._on_heartbeat(member, answer.result())
            self._ask_heartbeat(member)

    def _on_heartbeat(self, member: PoolProcess, heartbeat: Heartbeat) -> None:
        member.heartbeats = (*member.heartbeats[-1:], heartbeat)
        self._record.add_heartbeat(heartbeat)

    def _is_alive(self, member: PoolProcess, answer: Future[Any]) -> bool:
        """Return True if a member answered; if it is lost, see to that, and return False."""
        import ray

        if self.members.get(member.number) is not member:
            return False
        error = answer.exception()
        if isinstance(error, ray.exceptions.RayActorError):
            self._lose(member, error)
            return False
        if error is not None:
            raise RunStopped(f"{self.kind} {self.name}: {one_line(error, keep='last', named=True)}") from error
        return True

    def _lose(self, member: PoolProcess, error: Exception) -> None:
        """Take a lost process out of the pool, and start another in its place if the pool needs it."""
        self._end(member)  # one that only can't be reached must not go on beside its successor
        if member.is_leaving:
            return
        if not died_with_its_node(error):
            self._count_death(member)
            self._add(member.deaths, member.node, sorted({*member.shards, *member.kept}))
            return
        self._put_back(member)
        self._note_short()
        if len(self.members) < self.least:
            self._add(member.deaths)

    def _count_death(self, member: PoolProcess) -> None:
        """Count a death that is not a shard's.

        Raises:
            RunStopped: there were too many.
        """
        deaths = member.deaths.count(time.monotonic(), was_ready=member.is_ready)
        if deaths:
            while_it = "" if member.is_ready else " while it started"
            raise RunStopped(
                f"{self.kind} {self.name}: its process died {deaths} times{while_it}; see the end of its output in "
                "Ray's logs; often the cause is memory"
            )

    def _note_short(self) -> None:
        if not self.ready_members():
            self.short_since = self.short_since or time.monotonic()

    def _end(self, member: PoolProcess) -> None:
        import ray

        self.members.pop(member.number, None)
        if not self._is_stopped:
            self._record.remove_worker(self.name, str(member.number))
            self._on_end(member)
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(member.actor)

    @abstractmethod
    def _put_back(self, member: PoolProcess) -> None:
        """Give what a process had in its hands to any other, because its node is lost."""

    @abstractmethod
    def _on_ready(self, member: PoolProcess) -> None:
        """Do what a new process makes possible."""

    @abstractmethod
    def _on_end(self, member: PoolProcess) -> None:
        """Do what the end of a process makes necessary, unless the whole pool ends."""

    def _control(self, member: PoolProcess, method: str, *args: Any) -> Any:
        """Call a method that manages the actor."""
        return getattr(member.actor, method).options(concurrency_group=CONTROL).remote(*args)


def remote_class(of: type, settings: PoolSettings, calls: int, spread: bool) -> Any:
    """Return an actor class with the resources of a pool's process.

    Ray neither restarts its processes nor repeats its calls: the driver and the callers do, where there is room, and
    within bounds.

    Args:
        of: the class to wrap.
        settings: the pool's.
        calls: calls to work that may be in it at a time.
        spread: put its processes on as many nodes as there are.
    """
    import ray

    return ray.remote(
        num_cpus=settings.cpus,
        num_gpus=settings.gpus or None,
        memory=int(settings.memory_gb * 1024**3) or None,
        max_concurrency=calls,
        max_restarts=0,
        max_task_retries=0,
        concurrency_groups={CONTROL: CONTROL_CALLS},
        scheduling_strategy="SPREAD" if spread else "DEFAULT",
    )(of)


def on_node(actor_class: Any, node: str) -> Any:
    """Return an actor class whose next process starts on a node, or elsewhere if it has no room."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return actor_class.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True))
