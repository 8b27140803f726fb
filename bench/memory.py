"""Memory that a piece of work takes at its peak, on the processor or a GPU; for work in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil
import torch

MAPPED: Final = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
"""Environment in which blocks of this size are given back when they are freed, so that they don't count any more;
by itself glibc's allocator keeps those below 32 MiB."""


def in_use(device: torch.device) -> int:
    """Bytes in use now; the peak is counted from here on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets the peak of resident memory
    return psutil.Process().memory_info().rss


def peak(device: torch.device) -> int:
    """Most bytes at once since `in_use` was asked."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Not `ru_maxrss`: a process starts with that of the one it was forked from.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024
