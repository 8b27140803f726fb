"""One run at a time in a run's folder.

The lock is the kernel's, not `shards.lock`: it ends with the process that holds it, however that ends, so a run that
was killed can go on at once, on another machine too. That one serves object stores and needs a minute to tell.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runtime.errors import UserError
from runtime.log import get_logger

LOCK: Final = ".lock"

_log = get_logger(__name__)


@contextmanager
def alone_in(folder: Path, enabled: bool = True) -> Iterator[None]:
    """Hold `folder` while the block runs; a file system without locks is named in a warning.

    Args:
        folder: of the run; made where it is not there.
        enabled: false on all ranks but the main one.

    Raises:
        UserError: another run holds it.
    """
    if not enabled:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"--output {folder}: another run is writing there; wait until it ends, or name another folder"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            _log.warning("%s: no locks on this file system; see to it that no other run writes there", folder)
        yield
