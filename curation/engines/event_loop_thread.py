"""An event loop in a thread of its own, for engines whose connections belong to one loop.

A caller may await an engine from any event loop, or from a new one each time: the work always runs here. The loop is
the standard library's, whatever the policy of the process: Ray installs uvloop in its workers, and uvloop raises an
AttributeError instead of a connection error if the other side resets a connection at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class BackgroundLoop:
    """A daemon thread that runs one event loop until `close`."""

    def __init__(self, name: str) -> None:
        self._loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the thread and await its result here; cancelling the caller cancels the work."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the thread and block until it is done."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Cancel all running work, run `last` to its end, then stop the thread. A second call does nothing."""
        if self._loop.is_closed():
            last.close()
            return
        self.wait(self._finish(last))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _finish(self, last: Coroutine[Any, Any, None]) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await last
