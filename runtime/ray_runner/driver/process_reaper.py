"""A process that ends Ray's remaining processes shortly after the driver was killed, and removes Ray's folder.

    python -S process_reaper.py SECONDS FOLDER SUPERVISOR PID:START …

It reads standard input until the driver's end of the pipe closes for any reason, waits at most SECONDS for the
processes named on the command line to end by themselves, and kills the rest. Without it Ray's two agents would run
for another minute and report to a server that has gone. If the supervisor (a PID:START, too) has ended as well, the
whole run was killed: nobody is left to name the logs in FOLDER, or to remove it. `START` is the start time that the
kernel keeps (field 22 of ``/proc/PID/stat``), so that another process with a reused process id is spared. Standard
library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path


def start_reaper(pids: Iterable[int], seconds: float, folder: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a reaper for running processes; it acts when this process ends, or closes the reaper's standard input.

    Args:
        pids: the processes to end.
        seconds: time that they get to end by themselves.
        folder: removed if this process's parent has ended, too; None: nothing is removed.
    """
    supervisor = os.getppid()
    named = [f"{pid}:{start}" for pid in pids if (start := start_time(pid))]
    where = [str(folder or ""), f"{supervisor}:{start_time(supervisor)}"]
    return subprocess.Popen(
        [sys.executable, "-S", __file__, str(seconds), *where, *named],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def start_time(pid: int) -> str:
    """Return the start time of a process in the kernel's ticks; empty if there is no such process, or only a zombie."""
    try:
        state, *facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else facts[18]


def main(seconds: float, folder: str, named: Iterable[str]) -> None:
    """Wait for the driver's end, then for the named processes, and kill the rest; see the top of this file."""
    sys.stdin.buffer.read()
    supervisor, *targets = [(int(pid), start) for pid, _, start in (name.partition(":") for name in named)]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(start_time(pid) == start for pid, start in targets):
        time.sleep(0.2)
    for pid, start in targets:
        if start_time(pid) == start:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if folder and start_time(supervisor[0]) != supervisor[1]:
        _remove(Path(folder))


def _remove(folder: Path) -> None:
    """Remove a folder in which processes that are being killed may still write."""
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.2)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], sys.argv[3:])
