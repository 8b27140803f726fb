"""Outlives the driver by moments: ends those of Ray's processes that would linger after the driver was killed.

    python -S warden.py PID:START …

Reads standard input until the driver's end of the pipe closes, whatever closes it, waits for the processes named on
the command line to end by themselves, and kills those that have not. Ray's two agents would stay for a minute,
trying to tell a server that is gone of its end. `START` is the start time that the kernel keeps (field 22 of
``/proc/PID/stat``), so that a process id used again is left alone. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

PATIENCE_SECONDS = 3.0


def watch(pids: Iterable[int]) -> subprocess.Popen[bytes]:
    """Start a warden over processes that run now; it acts when this process ends, or closes the warden's stdin."""
    named = [f"{pid}:{start}" for pid in pids if (start := start_time(pid))]
    return subprocess.Popen(
        [sys.executable, "-S", __file__, *named],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def main(named: Iterable[str]) -> None:
    """Wait, then kill; see the top of this file."""
    sys.stdin.buffer.read()
    targets = [(int(pid), start) for pid, _, start in (name.partition(":") for name in named)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and any(start_time(pid) == start for pid, start in targets):
        time.sleep(0.2)
    for pid, start in targets:
        if start_time(pid) == start:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
