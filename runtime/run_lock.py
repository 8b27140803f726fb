"""The lock of a run: it holds a folder of shards, and a run that loses it is interrupted.

`curate run` locks a whole DIR, feature extraction locks the DIR's folder of features.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from runtime.errors import MachineError, UserError, is_machine_fault
from shards.storage.dir_lock import DirLock
from shards.storage.store import Store


@contextmanager
def locked_dir(store: Store, option: str) -> Iterator[None]:
    """Lock `store` while the block runs; remove a folder that was made for the lock alone.

    Args:
        store: the folder to lock.
        option: the flag by which the user named it (``--output``), for messages.

    Raises:
        LockedError: another run holds it.
        UserError: it can't be written to.
        MachineError: the machine failed inside the block, or another run has taken the folder over.
    """
    is_new = store.is_local and not Path(store.root).exists()
    lock = DirLock(store, on_lost=_interrupt)
    with ExitStack() as stack:
        if is_new:
            stack.callback(_remove_if_empty, Path(store.root))
        try:
            stack.enter_context(lock)
        except OSError as error:
            raise UserError(
                f"{option} {store.root}: can't be written to ({error.strerror}); choose another folder"
            ) from None
        try:
            yield
        except KeyboardInterrupt:
            if not lock.lost:
                raise
        except OSError as error:
            if not is_machine_fault(error):
                raise
            raise MachineError(str(error)) from error
    if lock.lost:
        raise MachineError(f"{store.root}: another run has taken this folder over")


def _interrupt() -> None:
    """Interrupt the main thread like Ctrl-C, also while it waits."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
