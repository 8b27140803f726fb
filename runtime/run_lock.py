"""Holds a folder of shards for one run: the lock, and what a run does that loses it.

`curate run` holds a whole DIR so, feature extraction the DIR's folder of features.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from runtime.errors import MachineError, UserError, is_machine_fault
from shards.storage.dir_lock import Lock
from shards.storage.store import Store


@contextmanager
def held(store: Store, option: str) -> Iterator[None]:
    """Hold `store` while the block runs; a folder that was made for a run which never began is gone afterwards.

    Args:
        store: the folder to hold.
        option: how the user named it (``--output``), for messages.

    Raises:
        LockedError: another run holds it.
        UserError: it can't be written to.
        MachineError: the machine gave up inside the block, or another run has taken the folder over.
    """
    is_new = store.is_local and not Path(store.root).exists()
    lock = Lock(store, on_lost=_interrupt)
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
    """As Ctrl-C does, from another thread; a wait of the main thread ends too."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
