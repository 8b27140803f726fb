"""The hosts of one service: they are sent to the workers that call it, whenever one comes up or is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

from runtime.ray_runner.pools.actor_pool import ActorPool, PoolProcess, remote_class
from runtime.ray_runner.pools.growth import PoolState
from runtime.ray_runner.pools.inbox import Inbox
from runtime.ray_runner.pools.ray_service import RayService
from runtime.ray_runner.pools.service_host import ServiceHost
from runtime.ray_runner.reports import Heartbeat
from runtime.ray_runner.run_record import RunRecord
from runtime.ray_runner.stage import ServiceSpec
from runtime.retry_limits import CALLS_WAIT, IDLE_HOST

_FULL: Final = 0.9
"""Share of a heartbeat's time in which a call waited, from which on a host is full."""
_HALF_BUSY: Final = 0.5
"""Share of the time in which the hosts that stay would have work, up to which one of them is spare."""

SendHosts = Callable[[str, Mapping[int, Any], int], None]
"""Called with a service's name, its hosts by number, and the count of changes."""


class ServicePool(ActorPool):
    """The hosts of one service.

    Args:
        spec: the service.
        send: tells the workers which hosts answer now.
        inbox: where the answers of the hosts go.
        record: where their heartbeats go.
    """

    kind: ClassVar[str] = "service"

    def __init__(self, spec: ServiceSpec, send: SendHosts, inbox: Inbox, record: RunRecord) -> None:
        super().__init__(spec.name, spec.pool, inbox, record)
        self._spec = spec
        self._send = send
        # As many calls again as have a place: they show that one waits, and the rest waits where it is made.
        self._class = remote_class(ServiceHost, spec.pool, 2 * spec.pool.in_flight, spread=False)
        self._version = 0
        self._full_since: float | None = None
        self._spare_since: float | None = None

    @property
    def least(self) -> int:
        """The pool's minimum, at least one."""
        return max(1, self.settings.min)

    def state(self, now: float) -> PoolState:
        """Return what decides if the pool grows or shrinks."""
        is_full = self._full_since is not None and now - self._full_since >= CALLS_WAIT.seconds
        is_spare = self._spare_since is not None and now - self._spare_since >= IDLE_HOST.seconds
        return PoolState(
            self.name,
            self.settings,
            least=self.least,
            members=len(self.members),
            ready=len(self.ready_members()),
            wanted=len(self.members) if is_full else 0,
            spare=is_spare,
        )

    def handle(self) -> RayService:
        """Return the service as a worker calls it."""
        return RayService(self.name, self._hosts(), self._version)

    def _hosts(self) -> dict[int, Any]:
        return {member.number: member.actor for member in self.ready_members()}

    def _remote(self, number: int, node: str | None) -> Any:
        return self._class.remote(self._spec.name, self._spec.build, self._spec.pool.in_flight, number)

    def _put_back(self, member: PoolProcess) -> None:
        """Do nothing: callers make their calls again."""

    def _on_ready(self, member: PoolProcess) -> None:
        self._publish()

    def _on_end(self, member: PoolProcess) -> None:
        if member.is_ready and not member.is_leaving:
            self._publish()

    def _publish(self) -> None:
        self._version += 1
        self._send(self.name, self._hosts(), self._version)

    def _dismiss(self, member: PoolProcess) -> None:
        """Have no more calls made to a host; it is ended once it has none."""
        if not member.is_ready:
            self._end(member)
            return
        member.is_leaving, self._spare_since = True, None
        self._publish()

    def _on_heartbeat(self, member: PoolProcess, heartbeat: Heartbeat) -> None:
        """Note since when all hosts are full, and since when one of them could be missed."""
        super()._on_heartbeat(member, heartbeat)
        if member.is_leaving and len(member.heartbeats) == 2 and share(member.heartbeats, "busy") == 0:
            self._end(member)
        shown = [host.heartbeats for host in self.ready_members() if len(host.heartbeats) == 2]
        busy = [share(heartbeats, "busy") for heartbeats in shown]
        is_full = bool(shown) and all(share(heartbeats, "waiting") >= _FULL for heartbeats in shown)
        was_called = any(beats[-1].busy for beats in shown)  # until then the first shards are on their way
        is_spare = was_called and len(busy) > 1 and sum(busy) <= _HALF_BUSY * (len(busy) - 1)
        now = time.monotonic()
        self._full_since = (self._full_since or now) if is_full else None
        self._spare_since = (self._spare_since or now) if is_spare else None


def share(heartbeats: Sequence[Heartbeat], kind: Literal["busy", "waiting"]) -> float:
    """Return the share of the time between two heartbeats in which a host had work, or in which a call waited."""
    before, after = heartbeats
    seconds = (after.busy + after.idle) - (before.busy + before.idle)
    return float(getattr(after, kind) - getattr(before, kind)) / seconds if seconds > 0 else 0.0
