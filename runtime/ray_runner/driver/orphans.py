"""Adopt the orphans of a child process, so that all processes of a run can be found and ended (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Collection, Iterator

import psutil

from runtime.log import get_logger
from runtime.ray_runner.cluster import child_processes, kill_processes

_PR_SET_CHILD_SUBREAPER = 36
_PAUSE_SECONDS = 0.05
_log = get_logger(__name__)


@contextlib.contextmanager
def orphans_adopted() -> Iterator[None]:
    """Have the kernel give this process, inside the block, the orphans of its descendants."""
    if sys.platform != "linux":
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def end_descendants(spared: Collection[psutil.Process], seconds: float) -> None:
    """Kill all descendants of this process but `spared`, and wait at most `seconds` until they have ended."""
    deadline = time.monotonic() + seconds
    while left := child_processes() - set(spared):
        kill_processes(left)
        for process in left:
            with contextlib.suppress(ChildProcessError):  # another process's child, or reaped by its owner
                os.waitpid(process.pid, os.WNOHANG)
        if time.monotonic() > deadline:
            _log.warning("processes that do not end: %s", sorted(process.pid for process in left))
            return
        time.sleep(_PAUSE_SECONDS)
