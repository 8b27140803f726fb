"""One process at a time where files are written, on a file system.

The lock is the kernel's and ends with the process that holds it, however that ends, so what was killed can go on at
once. A DIR of shards has a lock of its own (`shards.storage.dir_lock`): that one serves object stores and needs a minute to tell.
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
def alone(lock: Path, taken: str) -> Iterator[None]:
    """Hold a lock while the block runs; a file system without locks is named in a warning.

    Args:
        lock: the file that stands for it; its folder is there. The file stays.
        taken: what to tell where another process holds it.

    Raises:
        UserError: `taken`.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
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
    _log.warning("%s: no locks on this file system; see to it that nothing else writes there", lock.parent)
