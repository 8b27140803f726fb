"""Services on Ray: a pool of actors that hold one engine each, and the handle through which stages call them.

An engine's process that dies is started again three times and its calls are made again; after that every call
raises `MachineError`, which ends the run with one line. Nothing here knows what an engine does.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.ray_runner.cluster import keep_exit_statuses
from runtime.ray_runner.coordinator import Beat, Clock
from runtime.ray_runner.stage import ServiceSpec

RESTARTS: Final = 3
"""How often a service's process may die before the run ends."""

BEAT_SECONDS: Final = 2.0


class ServiceFailure(Exception):
    """A service could not be built; says whose fault it is."""

    def __init__(self, message: str, users: bool) -> None:
        super().__init__(message, users)
        self.message = message
        self.users = users

    def raised(self) -> UserError | MachineError:
        """The error to end the run with."""
        return UserError(self.message) if self.users else MachineError(self.message)


class ServiceHost:
    """One worker of a service's pool: builds the engine, and answers calls by name. Wrapped by ``ray.remote``."""

    def __init__(self, name: str, build: Callable[[], Any], in_flight: int, meter: Any) -> None:
        keep_exit_statuses()
        self._name = name
        self._meter = meter
        self._clock = Clock()
        self._threads = ThreadPoolExecutor(in_flight, thread_name_prefix=name)
        self._target: Any = None
        self._failure: ServiceFailure | None = None
        try:
            self._target = build()
        except Exception as error:  # reported by `ready`: an exception here would reach the driver as prose
            self._failure = failure_of(f"service {name}", error)
        self._beats: asyncio.Task[None] | None = None

    async def ready(self) -> ServiceFailure | None:
        """None once the engine is built, or why it could not be."""
        if self._beats is None:
            self._beats = asyncio.get_running_loop().create_task(self._beat())
        return self._failure

    async def invoke(self, method: str, args: tuple[Any, ...]) -> Any:
        """Call a method of the engine; one that blocks runs in a thread.

        Raises:
            UserError, MachineError: the engine could not be built, at first or after its process died; by whose
                fault it is, so that the run ends in the same way whoever tells of it first.
            Exception: whatever the method raises.
        """
        if self._failure is not None:
            raise self._failure.raised()
        function = getattr(self._target, method)
        with self._clock:
            if inspect.iscoroutinefunction(function):
                return await function(*args)
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._threads, function, *args)
            return await result if inspect.isawaitable(result) else result

    async def _beat(self) -> None:
        import ray

        worker = ray.get_runtime_context().get_actor_id()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            busy, idle = self._clock.read()
            self._meter.beat.remote(Beat(self._name, worker, busy, idle))


class RayService:
    """A `runtime.ray_runner.stage.Service` over a pool of `ServiceHost` actors; may be pickled and used by many workers."""

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
            Exception: whatever the method raised, as it was raised there.
        """
        import ray

        i = self._least_loaded()
        self._loads[i] += 1
        try:
            return ray.get(self._hosts[i].invoke.remote(method, args))
        except ray.exceptions.RayError as error:
            raise self._plain(error) from None
        finally:
            self._loads[i] -= 1

    async def acall(self, method: str, *args: Any) -> Any:
        """The same, without blocking the event loop."""
        import ray

        i = self._least_loaded()
        self._loads[i] += 1
        try:
            return await self._hosts[i].invoke.remote(method, args)
        except ray.exceptions.RayError as error:
            raise self._plain(error) from None
        finally:
            self._loads[i] -= 1

    def _least_loaded(self) -> int:
        """By this process's own calls; ties are broken by chance, so that workers don't all choose the first."""
        least = min(self._loads)
        return random.choice([i for i, load in enumerate(self._loads) if load == least])

    def _plain(self, error: Exception) -> Exception:
        import ray

        said = one_line(error, keep="last", named=True)
        if isinstance(error, ray.exceptions.RayTaskError):
            cause = error.cause
            return cause if isinstance(cause, Exception) else MachineError(f"service {self._name}: {said}")
        return MachineError(
            f"service {self._name}: its process died {RESTARTS + 1} times, for good ({said}); "
            "look for its last words in Ray's logs, often memory"
        )


class ServicePool:
    """The hosts of one service, as the driver holds them."""

    def __init__(self, spec: ServiceSpec, workers: int, meter: Any) -> None:
        import ray

        pool = spec.pool
        host = ray.remote(
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
            memory=int(pool.memory_gb * 1024**3) or None,
            max_concurrency=pool.in_flight + 1,  # one for `ready`
            max_restarts=RESTARTS,
            max_task_retries=-1,
        )(ServiceHost)
        self.name = spec.name
        self.hosts = [host.remote(spec.name, spec.build, pool.in_flight, meter) for _ in range(workers)]
        self._pending = [h.ready.remote() for h in self.hosts]

    @property
    def waiting(self) -> int:
        """Hosts that are still starting."""
        return len(self._pending)

    def check(self, patience: float = 0.0) -> None:
        """Look at the hosts that have come up since, waiting at most `patience` seconds for the others.

        Raises:
            UserError: a host can't be built for a reason that the user can mend.
            MachineError: for any other reason.
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
                raise failure.raised()

    def handle(self) -> RayService:
        """What a stage's worker calls."""
        return RayService(self.name, self.hosts)

    def stop(self) -> None:
        """End the pool's processes."""
        import ray

        for host in self.hosts:
            ray.kill(host)


def failure_of(what: str, error: BaseException) -> ServiceFailure:
    """One line for an error while something was built, and whose fault it is."""
    if isinstance(error, UserError):
        return ServiceFailure(str(error), users=True)
    if isinstance(error, MachineError):
        return ServiceFailure(str(error), users=False)
    kind = "this machine can't go on" if is_machine_fault(error) else "can't be started"
    return ServiceFailure(f"{what}: {kind} ({one_line(error, keep='last', named=True)})", users=False)
