"""Threads whose work can be stopped from outside, with the child processes that it waits for.

A thread can't be killed. Left alone it would take its killed child for a damaged video, go on with the next one, and
commit after the run has ended; or it would hold the run until its download has ended. So an exception is raised in it.
`runtime.processes.run` kills its child when that happens.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

_POLL_SECONDS: Final = 0.05


class Stopped(BaseException):
    """Raised inside threads that are stopped."""


class StoppableThreads(ThreadPoolExecutor):
    """A pool of threads that can be stopped."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__(number, thread_name_prefix=name)
        self._running: set[int] = set()
        self._stopped: set[int] = set()
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call as `ThreadPoolExecutor` does."""
        return super().submit(self._run, fn, *args, **kwargs)

    def _run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        thread = threading.get_ident()
        try:
            self._enter(thread)
            return fn(*args, **kwargs)
        finally:
            try:
                self._leave(thread)
            except Stopped:  # it came after the call had ended; it comes only once
                self._leave(thread)
                raise

    def _enter(self, thread: int) -> None:
        with self._lock:
            self._running.add(thread)

    def _leave(self, thread: int) -> None:
        with self._lock:
            self._running.discard(thread)

    def stop(self) -> None:
        """Raise `Stopped` in every busy thread, as soon as it executes Python again, and start no further call."""
        self.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            for thread in self._running - self._stopped:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Stopped))
            self._stopped |= self._running

    def wait(self, end_children: Callable[[], None] = lambda: None, seconds: float | None = None) -> None:
        """Wait until no thread is busy, or for `seconds`.

        Args:
            end_children: called again and again; ends the processes that the threads wait for without a limit.
            seconds: None: as long as it takes.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        end_children()
        while self._running and (deadline is None or time.monotonic() < deadline):
            time.sleep(_POLL_SECONDS)
            end_children()


def stoppable_sleep(seconds: float) -> None:
    """Sleep in short steps, so that `StoppableThreads.stop` need not wait for the end."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, _POLL_SECONDS))
