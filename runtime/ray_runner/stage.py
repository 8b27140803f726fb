"""What a stage is: a function *shard in, one committed artifact out*, and the services it may call.

The runner (`runtime.ray_runner.runner`) turns a list of stages into Ray Data actor pools, or into turns where the machine
is too small to hold them all at once. A stage knows nothing of Ray: tests call it directly.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime.settings import Settings


class PoolSettings(Settings):
    """How many workers of one kind, and what each takes of the machine. Never part of a content hash."""

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
    """Shards (of a stage) or calls (of a service) that one worker takes at a time."""


@dataclass(frozen=True)
class ShardResult:
    """What a worker says of one shard: small and plain, for it travels through Ray."""

    counts: Mapping[str, float] = field(default_factory=dict)
    """Figures to add up: clips, tokens, failures as ``failed:<class>``, seconds of each kind."""
    fatal: str | None = None
    """Set where the machine, not the data, is at fault: the run stops with this line."""


class Service(Protocol):
    """A pool that several workers call: an LLM engine, the speech recogniser."""

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of one of the pool's objects and wait for its answer."""

    async def acall(self, method: str, *args: Any) -> Any:
        """The same, without blocking the event loop."""


class Worker(Protocol):
    """One worker of a stage, built inside its own process; it never raises for data."""

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
    """One stage of a run: what to do (`build`), for which shards, with what of the machine."""

    name: str
    build: Callable[[Mapping[str, Service]], Worker]
    """Pickled and called in the worker's process with the services that `services` names."""
    pool: PoolSettings
    shards: Sequence[int]
    """Shards whose artifact is missing or stale, in order."""
    services: Sequence[str] = ()
    deaths: int = 3
    """How often a worker's process may die on one shard (of the same shard) before the run ends."""


class LocalService:
    """A `Service` in this process, without Ray: for tests and for one-worker tools."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def call(self, method: str, *args: Any) -> Any:
        """Call the object directly; coroutines are run to their end."""
        return asyncio.run(self.acall(method, *args))

    async def acall(self, method: str, *args: Any) -> Any:
        """Call the object directly and await it where it can be awaited."""
        result = getattr(self._target, method)(*args)
        return await result if inspect.isawaitable(result) else result
