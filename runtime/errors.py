"""The kinds of failure: mistakes of the user, and faults of the machine.

A `UserError` ends the command with one line and exit status 2. A `MachineError` stops the run: the disk, the
permissions or the GPU are at fault, and no source is recorded as failed. A fault of one source is no exception outside
of its stage: it becomes a row of the ledger.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from shards.errors import bounded_line
from shards.errors import nearest as nearest
from shards.errors import one_line as one_line


class UserError(Exception):
    """A mistake in a setting, a flag or an input; the message names it, its value and the remedy.

    The message is one line, of bounded length, and is printed without a traceback.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(bounded_line(str(message)))


class UserErrors(UserError):
    """Several mistakes that were found at once; each is printed on a line of its own."""

    def __init__(self, errors: Iterable[UserError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(map(str, self.errors)))


class MachineError(Exception):
    """A fault of this machine (disk full, no permission, GPU lost, engine dead) that stops the run."""


_MACHINE_ERRNOS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
    }
)


def is_machine_fault(error: BaseException) -> bool:
    """Return True if `error`, or one of its causes, is a fault of the machine and not of the data."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MachineError | MemoryError):
            return True
        if isinstance(seen, OSError) and seen.errno in _MACHINE_ERRNOS:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
