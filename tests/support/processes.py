"""The processes below a process, and those that are left after it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

LINGER = 45.0
"""Seconds until the last process of a run must have ended. A busy machine needs some of them; Ray's agents would stay
for a minute if nobody ended them, and the processes that tests start sleep for ten minutes."""


def below(pid: int) -> list[psutil.Process]:
    """Return all processes below one that runs; none if it has just ended."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def still_running(processes: Iterable[psutil.Process], seconds: float = LINGER) -> list[str]:
    """Return the commands of the processes that have not ended in time; a zombie has ended."""
    end = time.monotonic() + seconds
    left = [process for process in processes if _runs(process)]
    while left and time.monotonic() < end:
        time.sleep(0.05)
        left = [process for process in left if _runs(process)]
    return [_command(process) for process in left]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:300]
    except psutil.NoSuchProcess:  # just now, so too late
        return str(process)
