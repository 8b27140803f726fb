"""Stages and services as a pipeline describes them: a worker turns one shard into one committed artifact.

The runner (`runtime.ray_runner.runner`) runs a list of stages as pools of Ray actors, or in this process
(`runtime.ray_runner.local`). A stage knows nothing of Ray: tests call its worker directly. A stage that reads all
shards and writes one table is a `runtime.ray_runner.table_stage.TableStageSpec`.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from runtime.retry_limits import OTHER_DEATHS_PER_SHARD
from runtime.settings import Settings

THREADS_PER_SHARD: Final = 4
"""Threads for ``asyncio.to_thread`` that a stage's worker has for each shard in flight."""

Unit = Literal["shard", "table"]
"""The unit in which a stage's work is counted."""


class PoolSettings(Settings):
    """Number of workers of one kind, and the resources each reserves. Never part of a content hash."""

    min: int = 1
    """Workers that must run for the pool to exist."""
    max: int = 1
    """Workers the pool may grow to."""
    cpus: float = 1.0
    """Logical CPUs a worker reserves."""
    gpus: float = 0.0
    """GPUs a worker reserves."""
    memory_gb: float = 0.0
    """Memory a worker reserves, in GiB; 0: not accounted."""
    in_flight: int = 1
    """Shards (of a stage) or calls (of a service) that one worker handles at a time."""


@dataclass(frozen=True)
class ShardResult:
    """A worker's result for one shard: small and plain, because it travels through Ray."""

    counts: Mapping[str, float] = field(default_factory=dict)
    """Figures to add up: clips, tokens, failures as ``failed:<class>``, seconds of each kind."""
    fatal: str | None = None
    """One line that ends the run. Set when the machine, not the data, is at fault."""


class Service(Protocol):
    """A pool that several workers call: an LLM engine, the speech recogniser."""

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of one of the pool's objects and wait for its result."""

    async def acall(self, method: str, *args: Any) -> Any:
        """Call a method of one of the pool's objects without blocking the event loop."""


class Worker(Protocol):
    """One worker of a stage, built inside its own process; it never raises for bad data."""

    async def process(self, shard: int) -> ShardResult:
        """Make this stage's artifact of `shard` and commit it.

        Workers with `in_flight` above one are entered again while they wait. Blocking work (ffmpeg, a local
        model) belongs in ``asyncio.to_thread``.
        """


@dataclass(frozen=True)
class ServiceSpec:
    """A pool of objects that stages call by name; `build` is pickled and called in the service's process."""

    name: str
    build: Callable[[], Any]
    pool: PoolSettings


@dataclass(frozen=True)
class StageSpec:
    """One stage of a run: its worker, its shards, and the resources of its pool."""

    name: str
    build: Callable[[Mapping[str, Service]], Worker]
    """Pickled and called in the worker's process with the services that `services` names."""
    pool: PoolSettings
    shards: Sequence[int]
    """Shards whose artifact is missing or stale, in order; empty: nothing to do."""
    services: Sequence[str] = ()
    deaths: int = OTHER_DEATHS_PER_SHARD.count
    """Times a worker's process may die on the same shard before the run ends."""
    unit: Unit = "shard"
    """``table`` only for a row stage made by `runtime.ray_runner.table_stage.as_row_stages`."""


class LocalService:
    """A `Service` in this process, without Ray: for runs with ``--address local``, tests and one-worker tools.

    Args:
        target: the object whose methods are called.
        in_flight: blocking calls that may run at a time; None: no limit.
        clock: entered for the length of each call.
    """

    def __init__(
        self, target: Any, *, in_flight: int | None = None, clock: AbstractContextManager[Any] | None = None
    ) -> None:
        self._target = target
        self._slots: AbstractContextManager[Any] = threading.Semaphore(in_flight) if in_flight else nullcontext()
        self._clock = clock or nullcontext()

    def call(self, method: str, *args: Any) -> Any:
        """Call the object and wait for its result; a coroutine runs in an event loop of its own."""
        function = getattr(self._target, method)
        with self._slots, self._clock:
            result = function(*args)
            return _run_apart(_awaited(result)) if inspect.isawaitable(result) else result

    async def acall(self, method: str, *args: Any) -> Any:
        """Call the object; a coroutine runs in the caller's event loop, a blocking method in a thread."""
        function = getattr(self._target, method)
        if not inspect.iscoroutinefunction(function):
            return await asyncio.to_thread(self.call, method, *args)
        with self._clock:
            return await function(*args)

    def close(self) -> None:
        """Close the object if it has a ``close`` method."""
        close = getattr(self._target, "close", None)
        if close is not None:
            close()


async def _awaited(result: Any) -> Any:
    return await result


def _run_apart(work: Any) -> Any:
    """Run a coroutine to its end in another thread, because this thread's event loop may be running."""
    with ThreadPoolExecutor(1, thread_name_prefix="local-service") as thread:
        return thread.submit(asyncio.run, work).result()
