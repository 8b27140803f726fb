"""Services on Ray: a pool of actors that hold one engine each, and the handle through which stages call them.

An engine's process that dies is started again three times and its calls are repeated; after that every call
raises `MachineError`, which ends the run with one line. This module is independent of what an engine does.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.ray_runner.cluster import keep_exit_statuses
from runtime.ray_runner.pools.coordinator import HEARTBEAT_SECONDS, BusyClock, Heartbeat
from runtime.ray_runner.stage import ServiceSpec
from runtime.retry_limits import SERVICE_RESTARTS


class BuildFailure(Exception):
    """A worker or a service could not be built; crosses from its process to the driver.

    Args:
        message: one line.
        blame: the side that has to act.
    """

    def __init__(self, message: str, blame: Literal["user", "machine"]) -> None:
        super().__init__(message, blame)
        self.message = message
        self.blame = blame

    def as_error(self) -> UserError | MachineError:
        """Return the error that ends the run."""
        return UserError(self.message) if self.blame == "user" else MachineError(self.message)


class ServiceHost:
    """One worker of a service's pool: builds the engine, and answers calls by name. Wrapped by ``ray.remote``."""

    def __init__(self, name: str, build: Callable[[], Any], in_flight: int, coordinator: Any) -> None:
        keep_exit_statuses()
        self._name = name
        self._coordinator = coordinator
        self._clock = BusyClock()
        self._threads = ThreadPoolExecutor(in_flight, thread_name_prefix=name)
        self._target: Any = None
        self._failure: BuildFailure | None = None
        try:
            self._target = build()
        except Exception as error:  # reported by `ready`: an exception here would reach the driver as a traceback
            self._failure = failure_of(f"service {name}", error)
        self._heartbeats: asyncio.Task[None] | None = None

    async def ready(self) -> BuildFailure | None:
        """Return None once the engine is built, or the reason why it could not be."""
        if self._heartbeats is None:
            self._heartbeats = asyncio.get_running_loop().create_task(self._send_heartbeats())
        return self._failure

    async def invoke(self, method: str, args: tuple[Any, ...]) -> Any:
        """Call a method of the engine; one that blocks runs in a thread.

        Raises:
            UserError, MachineError: the engine could not be built, at first or after its process died. The error is
                the same as that of `ready`, so the run ends in the same way whichever is seen first.
            Exception: whatever the method raises.
        """
        if self._failure is not None:
            raise self._failure.as_error()
        function = getattr(self._target, method)
        with self._clock:
            if inspect.iscoroutinefunction(function):
                return await function(*args)
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._threads, function, *args)
            return await result if inspect.isawaitable(result) else result

    async def _send_heartbeats(self) -> None:
        import ray

        worker = ray.get_runtime_context().get_actor_id()
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            busy, idle = self._clock.read()
            self._coordinator.heartbeat.remote(Heartbeat(self._name, worker, busy, idle))


class RayService:
    """A `runtime.ray_runner.stage.Service` over a pool of `ServiceHost` actors; many workers may share it, pickled."""

    def __init__(self, name: str, hosts: Sequence[Any]) -> None:
        self._name = name
        self._hosts = tuple(hosts)
        self._loads = [0] * len(hosts)

    def __reduce__(self) -> tuple[Any, ...]:
        return (RayService, (self._name, self._hosts))

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of one of the pool's engines and wait.

        Raises:
            MachineError: the service died once too often.
            Exception: whatever the method raised, with its own type.
        """
        import ray

        i = self._least_loaded()
        self._loads[i] += 1
        try:
            return ray.get(self._hosts[i].invoke.remote(method, args))
        except ray.exceptions.RayError as error:
            raise self._cause(error) from None
        finally:
            self._loads[i] -= 1

    async def acall(self, method: str, *args: Any) -> Any:
        """Call a method as `call` does, without blocking the event loop."""
        import ray

        i = self._least_loaded()
        self._loads[i] += 1
        try:
            return await self._hosts[i].invoke.remote(method, args)
        except ray.exceptions.RayError as error:
            raise self._cause(error) from None
        finally:
            self._loads[i] -= 1

    def _least_loaded(self) -> int:
        """By this process's own calls; ties are broken at random, so that workers don't all choose the first."""
        least = min(self._loads)
        return random.choice([i for i, load in enumerate(self._loads) if load == least])

    def _cause(self, error: Exception) -> Exception:
        """Return what the engine raised, or a `MachineError` for an engine that is gone."""
        import ray

        message = one_line(error, keep="last", named=True)
        if isinstance(error, ray.exceptions.RayTaskError):
            cause = error.cause
            return cause if isinstance(cause, Exception) else MachineError(f"service {self._name}: {message}")
        return MachineError(
            f"service {self._name}: its process died {SERVICE_RESTARTS.count + 1} times ({message}); see the end of "
            "its output in Ray's logs; often the cause is memory"
        )


class ServicePool:
    """The hosts of one service, as the driver holds them."""

    def __init__(self, spec: ServiceSpec, workers: int, coordinator: Any) -> None:
        import ray

        pool = spec.pool
        host = ray.remote(
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
            memory=int(pool.memory_gb * 1024**3) or None,
            max_concurrency=pool.in_flight + 1,  # one for `ready`
            max_restarts=SERVICE_RESTARTS.count,
            max_task_retries=-1,
        )(ServiceHost)
        self.name = spec.name
        self.hosts = [host.remote(spec.name, spec.build, pool.in_flight, coordinator) for _ in range(workers)]
        self._pending = [h.ready.remote() for h in self.hosts]

    @property
    def waiting(self) -> int:
        """Number of hosts that are still starting."""
        return len(self._pending)

    def check(self, patience: float = 0.0) -> None:
        """Check the hosts that have started since the last call; wait at most `patience` seconds for the others.

        Raises:
            UserError: a host can't be built for a reason that the user can remove.
            MachineError: a host can't be built for any other reason.
        """
        import ray

        if not self._pending:
            return
        up, self._pending = ray.wait(self._pending, num_returns=len(self._pending), timeout=patience)
        for ref in up:
            try:
                failure = ray.get(ref)
            except ray.exceptions.RayError as error:
                raise MachineError(
                    f"service {self.name}: can't be started ({one_line(error, keep='last', named=True)})"
                ) from None
            if failure is not None:
                raise failure.as_error()

    def handle(self) -> RayService:
        """Return the service as a stage's worker calls it."""
        return RayService(self.name, self.hosts)

    def stop(self) -> None:
        """End the pool's processes."""
        import ray

        for host in self.hosts:
            ray.kill(host)


def failure_of(what: str, error: BaseException) -> BuildFailure:
    """Return one line for an error while `what` was built, and the side that has to act."""
    if isinstance(error, UserError):
        return BuildFailure(str(error), "user")
    if isinstance(error, MachineError):
        return BuildFailure(str(error), "machine")
    kind = "this machine can't go on" if is_machine_fault(error) else "can't be started"
    return BuildFailure(f"{what}: {kind} ({one_line(error, keep='last', named=True)})", "machine")
