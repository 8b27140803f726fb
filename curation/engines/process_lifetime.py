"""Ends every process of a vLLM engine with the process that owns the engine, even if the owner was killed with SIGKILL.

vLLM loads `join_parent` (entry point ``vllm.general_plugins``) in each process that it starts. Without
`OWNER_VARIABLE` in the environment it does nothing, so that vLLM outside this project is not affected.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

OWNER_VARIABLE = "CLIPGROVE_OWNER_PID"
_POLL_SECONDS = 1.0
_watched: set[int] = set()


@contextmanager
def owner() -> Iterator[None]:
    """Make this process the owner of every vLLM process started inside the ``with`` block."""
    before = os.environ.get(OWNER_VARIABLE)
    os.environ[OWNER_VARIABLE] = f"{os.getpid()}@{psutil.Process().create_time()!r}"
    try:
        yield
    finally:
        if before is None:
            del os.environ[OWNER_VARIABLE]
        else:
            os.environ[OWNER_VARIABLE] = before


def join_parent() -> None:
    """Watch the owner from a daemon thread and end this process within two seconds of its death.

    Do nothing if no owner is set, if this process is the owner, and from the second call on (vLLM may load a plugin
    more than once).
    """
    named = _named_owner()
    if named is None or named[0] == os.getpid() or os.getpid() in _watched:
        return
    _watched.add(os.getpid())
    threading.Thread(target=_watch, args=named, name="clipgrove-owner-watch", daemon=True).start()


def _named_owner() -> tuple[int, float] | None:
    pid, at, started = os.environ.get(OWNER_VARIABLE, "").partition("@")
    try:
        return (int(pid), float(started)) if at else None
    except ValueError:
        return None


def _watch(pid: int, started: float) -> None:
    while is_alive(pid, started):
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def is_alive(pid: int, started: float) -> bool:
    """Return True if the process `pid` that began at `started` (seconds since the epoch) runs and is no zombie.

    Process numbers are reused: a process that began at another time is another process.
    """
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
