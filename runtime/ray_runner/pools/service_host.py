"""One process of a service's pool as a Ray actor: it builds the engine, and answers calls by name.

It is independent of what an engine does. Calls beyond its free places wait here, and the seconds in which one waits are
reported: they are the pool's reason to grow.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from runtime.ray_runner.cluster import keep_exit_statuses
from runtime.ray_runner.pools.node_watch import node_id
from runtime.ray_runner.reports import BuildFailure, BusyClock, Heartbeat, failure_of


class ServiceHost:
    """Holds one engine. Wrapped by ``ray.remote``.

    Args:
        name: of the service.
        build: makes the engine.
        in_flight: calls that the engine gets at a time.
        number: of this host in its pool.
    """

    def __init__(self, name: str, build: Callable[[], Any], in_flight: int, number: int) -> None:
        keep_exit_statuses()
        self._name = name
        self._number = number
        self._threads = ThreadPoolExecutor(in_flight, thread_name_prefix=name)
        self._places = asyncio.Semaphore(in_flight)
        self._target: Any = None
        self._failure: BuildFailure | None = None
        try:
            self._target = build()
        except Exception as error:  # reported by `ready`: an exception here would reach the driver as a traceback
            self._failure = failure_of(f"service {name}", error)
        self._clock = BusyClock()
        self._waiting = BusyClock()

    async def ready(self) -> str | BuildFailure:
        """Return Ray's id of this node once the engine is built, or the reason why it could not be."""
        return self._failure or node_id()

    async def heartbeat(self, pause: float) -> Heartbeat:
        """Return the host's state after a pause in seconds."""
        await asyncio.sleep(pause)
        busy, idle = self._clock.read()
        return Heartbeat(self._name, str(self._number), busy, idle, waiting=self._waiting.read()[0])

    async def invoke(self, method: str, args: tuple[Any, ...]) -> Any:
        """Call a method of the engine; one that blocks runs in a thread.

        Raises:
            Exception: whatever the method raises.
        """
        function = getattr(self._target, method)
        async with self._place():
            if inspect.iscoroutinefunction(function):
                return await function(*args)
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._threads, function, *args)
            return await result if inspect.isawaitable(result) else result

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Hold one of the places for calls inside the block."""
        with self._waiting:
            await self._places.acquire()
        try:
            with self._clock:
                yield
        finally:
            self._places.release()
