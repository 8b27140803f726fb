"""The start of a child process: the fate of its parent, and a limit of memory."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
# Looked up here and called through PyDLL: between fork and exec no lock may be taken.
_prctl = ctypes.PyDLL(None).prctl if sys.platform == "linux" else None


def prepare_child(parent: int, memory: int | None = None) -> Callable[[], None]:
    """Return a `preexec_fn` that has the kernel kill the child when its parent dies, and that limits its memory.

    Linux only: other kernels do neither. What the child starts inherits the limit, each process its own.

    Args:
        parent: process id of the parent, read before the fork.
        memory: the most bytes of private memory that it may write to (``RLIMIT_DATA``); None: no limit. Libraries and
            reserved addresses do not count. An allocation over the limit fails in the child.
    """
    prctl = _prctl

    def prepare() -> None:
        if prctl is None:
            return
        if memory is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return prepare
