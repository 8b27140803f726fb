"""The handle through which a stage's worker calls a service: it chooses a host, and goes to another if that one dies.

The driver sends each worker the hosts that answer, whenever they change (`runtime.ray_runner.pools.service_pool`).
While there is none, calls wait: the driver starts hosts again, or ends the run when they die too often.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Condition
from typing import Any, Final

from runtime.errors import MachineError, one_line
from runtime.ray_runner.pools.lost_process import died_with_its_node
from runtime.retry_limits import CALL_DEATHS, HOST_SILENCE

_PAUSE_SECONDS: Final = 0.5
"""Before a host that could not be reached is tried again."""
_LOOK_SECONDS: Final = 0.05
"""Between two looks of a coroutine for a host."""


class RayService:
    """A `runtime.ray_runner.stage.Service` over a pool of `ServiceHost` actors; pickled for each worker.

    Args:
        name: of the service.
        hosts: those that answer now, by their number in the pool.
        version: counts the changes of `hosts`.
    """

    def __init__(self, name: str, hosts: Mapping[int, Any], version: int = 0) -> None:
        self._name = name
        self._hosts = dict(hosts)
        self._version = version
        self._dead: set[int] = set()
        self._loads: dict[int, int] = {}
        self._changed = Condition()

    def __reduce__(self) -> tuple[Any, ...]:
        return (RayService, (self._name, self._hosts, self._version))

    def set_hosts(self, hosts: Mapping[int, Any], version: int) -> None:
        """Take over the hosts that answer now, unless a later list has come before."""
        with self._changed:
            if version > self._version:
                self._version = version
                self._hosts = {number: host for number, host in hosts.items() if number not in self._dead}
                self._changed.notify_all()

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of one of the pool's engines and wait.

        Raises:
            MachineError: the call's hosts died too often.
            Exception: whatever the method raised, with its own type.
        """
        import ray

        attempts = _Attempts(self._name)
        while True:
            number, host = self._wait_for_host()
            try:
                return ray.get(host.invoke.remote(method, args))
            except ray.exceptions.RayError as error:
                time.sleep(self._after(number, error, attempts))
            finally:
                self._release(number)

    async def acall(self, method: str, *args: Any) -> Any:
        """Call a method as `call` does, without blocking the event loop."""
        import ray

        attempts = _Attempts(self._name)
        while True:
            while (taken := self._take_host()) is None:
                await asyncio.sleep(_LOOK_SECONDS)
            number, host = taken
            try:
                return await host.invoke.remote(method, args)
            except ray.exceptions.RayError as error:
                await asyncio.sleep(self._after(number, error, attempts))
            finally:
                self._release(number)

    def _wait_for_host(self) -> tuple[int, Any]:
        with self._changed:
            while (taken := self._take_host()) is None:
                self._changed.wait()
            return taken

    def _take_host(self) -> tuple[int, Any] | None:
        """Return the host with the fewest of this process's calls; of several a random one, so that workers spread."""
        with self._changed:
            if not self._hosts:
                return None
            least = min(self._loads.get(number, 0) for number in self._hosts)
            number = random.choice([number for number in self._hosts if self._loads.get(number, 0) == least])
            self._loads[number] = least + 1
            return number, self._hosts[number]

    def _release(self, number: int) -> None:
        with self._changed:
            self._loads[number] -= 1

    def _after(self, number: int, error: Exception, attempts: _Attempts) -> float:
        """Return the pause before the call is repeated, or raise what it ends with."""
        import ray

        if isinstance(error, ray.exceptions.RayTaskError) and isinstance(error.cause, Exception):
            raise error.cause from None
        if isinstance(error, ray.exceptions.ActorUnavailableError):
            return attempts.count_silence(error)
        if not isinstance(error, ray.exceptions.RayActorError):
            raise MachineError(f"service {self._name}: {one_line(error, keep='last', named=True)}") from None
        with self._changed:
            self._dead.add(number)
            self._hosts.pop(number, None)
        return attempts.count_death(error)


@dataclass
class _Attempts:
    """What one call has been through; it is given up before it has killed one host after another."""

    service: str
    deaths: int = 0
    silent_since: float | None = None

    def count_death(self, error: Exception) -> float:
        """Count the death of the call's host, unless its node was lost; return the pause before the next attempt."""
        self.silent_since = None
        self.deaths += not died_with_its_node(error)
        if self.deaths > CALL_DEATHS.count:
            raise MachineError(
                f"service {self.service}: its process died {self.deaths} times on the same call "
                f"({one_line(error, keep='last', named=True)}); see the end of its output in Ray's logs; often the "
                "cause is memory"
            ) from None
        return 0.0

    def count_silence(self, error: Exception) -> float:
        """Return the pause before a host that can't be reached is tried again."""
        self.silent_since = self.silent_since or time.monotonic()
        if time.monotonic() - self.silent_since > HOST_SILENCE.seconds:
            raise MachineError(
                f"service {self.service}: can't be reached ({one_line(error, keep='last', named=True)})"
            ) from None
        return _PAUSE_SECONDS
