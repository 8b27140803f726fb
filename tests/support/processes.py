"""What runs below a process, and what of it is left when it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

LINGER = 45.0
"""Seconds in which the last process of a run must be gone. A busy machine needs some; Ray's agents, left to
themselves, would stay for a minute, and what tests start to be ended sleeps for ten minutes."""


def below(pid: int) -> list[psutil.Process]:
    """All processes below one that runs, or ran until now."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def still_running(processes: Iterable[psutil.Process], seconds: float = LINGER) -> list[str]:
    """The commands of those of `processes` that have not ended in time; one that nobody has reaped yet has ended."""
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
