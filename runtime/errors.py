"""The kinds of failure, and who has to act on each.

A `UserError` ends the command with one line and exit status 2. A `MachineError` stops the run: the disk,
the permissions or the GPU are at fault, and no source is booked as failed for it. What is wrong with one
source is no exception at all once it has reached a stage: it is a row of the ledger.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

from shards.errors import one_line as one_line


class UserError(Exception):
    """A mistake in what the user asked for: names the setting, the value and the remedy.

    The message is one line; it is printed as it stands, without a traceback.
    """


class MachineError(Exception):
    """This machine can't go on (disk full, no permission, GPU lost, engine dead): the run stops."""


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
    """Whether `error` (or what caused it) tells of the machine and not of the data."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MachineError | MemoryError):
            return True
        if isinstance(seen, OSError) and seen.errno in _MACHINE_ERRNOS:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def nearest(name: str, valid: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for a misspelt name, or the list of valid names where none is near."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f" (valid: {', '.join(names)})"
