"""Call functions that read files from outside in a helper process, which can be ended: a limit of time and of memory.

A parser can be slow, greedy or crash on input that nobody thought of, and a thread can't be stopped. The helper is
started at the first call and kept, so that a call costs less than a millisecond; it is ended when a call exceeds its
limits, and the next call starts another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Any, Final, ParamSpec, TypeVar

from runtime.processes import kill, python_environment, start

HELPER_MEMORY: Final = 2 << 30
"""Bytes that the helper may use: decoded, the largest picture has half of it, and the largest subtitle file a third."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class HelperFailed(Exception):
    """A call was ended, because it exceeded a limit or crashed; the message is the rest of a sentence about it."""


class HelperProcess:
    """A process that carries out one call at a time for all threads of this one."""

    def __init__(self, memory: int = HELPER_MEMORY) -> None:
        """Prepare a helper that may use `memory` bytes; it is started by the first call."""
        self._memory = memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None

    def call(self, seconds: float, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what `function` returns; it must be importable by its name, and all values must be picklable.

        Args:
            seconds: longest time of the call, after the helper has started.
            function: what to call.
            *args: its positional arguments.
            **kwargs: its named arguments.

        Raises:
            HelperFailed: the call took too long or too much memory, or the process crashed.
            Exception: whatever `function` raises.
        """
        with self._lock:
            connection = self._started()
            try:
                connection.send((function, args, kwargs))
                if not connection.poll(seconds):
                    self._end()
                    raise HelperFailed(f"took longer than {seconds:g} s")
                done, value = connection.recv()
            except (EOFError, ConnectionError):
                raise HelperFailed(f"crashed the process that read it ({self._ending()})") from None
            except BaseException:
                self._end()  # its answer would be taken for that of the next call
                raise
        if done:
            result: _T = value
            return result
        if isinstance(value, MemoryError):
            self.close()
            raise HelperFailed(f"needed more than {self._memory >> 20} MiB of memory")
        raise value

    def close(self) -> None:
        """End the process; the next call starts another."""
        with self._lock:
            self._end()

    def _started(self) -> Connection[Any, Any]:
        """Return the connection to a running process; start one if there is none (anymore)."""
        if self._process is not None and self._process.poll() is not None:
            self._end()  # its thread of birth has ended, and it with it
        if self._connection is None:
            ours, theirs = Pipe()
            with theirs:
                args = [sys.executable, "-P", "-m", "runtime.children.helper_main", str(theirs.fileno())]
                environment = python_environment() | {"MALLOC_ARENA_MAX": "2"}
                self._process = start(
                    args,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    memory=self._memory,
                    pass_fds=(theirs.fileno(),),
                )
            self._connection = ours
            try:
                ours.recv()  # it is ready
            except (EOFError, ConnectionError):
                raise HelperFailed(f"can't be read: its reader does not start ({self._ending()})") from None
        return self._connection

    def _end(self) -> None:
        if self._process is not None:
            kill(self._process)
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def _ending(self) -> str:
        """End a process that has closed its connection, and return how it ended by itself."""
        assert self._process is not None
        deadline = time.monotonic() + 1.0
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        status = self._process.poll()
        self._end()
        return f"signal {-status}" if status is not None and status < 0 else f"status {status}"


_HELPER: Final = HelperProcess()
os.register_at_fork(after_in_child=lambda: _HELPER.__init__())  # type: ignore[misc]  # a child has none of its own


def call_in_helper(seconds: float, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call a function in the helper of this process; see `HelperProcess.call`."""
    return _HELPER.call(seconds, function, *args, **kwargs)
