"""Peak memory of a piece of work on a CPU or GPU; the work must run in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil
import torch

MAPPED: Final = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
"""Environment that makes glibc return blocks of this size when they are freed, so that they are no longer counted; by
default its allocator keeps blocks below 32 MiB."""


def in_use(device: torch.device) -> int:
    """Return the bytes in use, and reset the peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets the peak of resident memory
    return psutil.Process().memory_info().rss


def peak(device: torch.device) -> int:
    """Return the peak of the bytes in use since the last call of `in_use`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Not `ru_maxrss`: a process starts with that of the one it was forked from.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024
