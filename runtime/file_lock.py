"""An exclusive lock on a local file: one process at a time writes to a folder.

The kernel holds the lock and releases it when the process ends for whatever reason, so a killed run can be repeated at
once. A DIR of shards has another lock (`shards.storage.dir_lock`), which works on object stores and takes a minute to
become stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOLCK, ENOSYS, EOPNOTSUPP
from pathlib import Path

from filelock import FileLock, Timeout

from runtime.errors import UserError
from runtime.log import get_logger

_log = get_logger(__name__)


@contextmanager
def exclusive_lock(lock: Path, taken: str, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock while the block runs; warn if the file system has no locks.

    Args:
        lock: the lock file; its folder must exist. The file is not removed.
        taken: message if another process holds the lock.
        patience: seconds to wait for the other process.

    Raises:
        UserError: another process holds the lock.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=patience)
    except Timeout:
        raise UserError(taken) from None
    except NotImplementedError:
        _warn(lock)
    except OSError as error:
        if error.errno not in (ENOLCK, ENOSYS, EOPNOTSUPP):
            raise
        _warn(lock)
    try:
        yield
    finally:
        held.release()


def _warn(lock: Path) -> None:
    _log.warning("%s: this file system has no locks; make sure that no other process writes there", lock.parent)
