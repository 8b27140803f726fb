"""A model that is loaded when it is first needed, once, without holding up an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LoadOnce(Generic[T]):
    """Loads a value in a thread at the first call; later calls, and those made meanwhile, get the same value."""

    def __init__(self, load: Callable[[], T]) -> None:
        """Take the function that loads it; what it raises is raised by `get`, and the next call tries again."""
        self._load = load
        self._loading = asyncio.Lock()
        self._loaded: list[T] = []

    async def get(self) -> T:
        """Return the value."""
        async with self._loading:
            if not self._loaded:
                self._loaded.append(await asyncio.to_thread(self._load))
            return self._loaded[0]
