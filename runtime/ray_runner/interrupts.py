"""Ctrl-C and SIGTERM: both end a command in the same way, and neither breaks into its clean-up.

Ray puts a handler of its own in the place of a process's handler of SIGTERM when it starts. That one ends the
interpreter in the middle of a call, whereupon Ray's native code aborts.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class InterruptFlag:
    """An interrupt as a flag: the first one ends the run at the next poll; later ones don't break into the clean-up."""

    def __init__(self) -> None:
        self._is_set = False

    @property
    def is_set(self) -> bool:
        """True once Ctrl-C was pressed, or SIGTERM came."""
        return self._is_set

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if Ctrl-C was pressed, or SIGTERM came."""
        if self._is_set:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Catch SIGINT and SIGTERM inside the block, if this is the main thread."""
        if not _in_main_thread():
            yield
            return
        before = {number: signal.signal(number, self._set) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _set(self, *_: object) -> None:
        self._is_set = True


@contextlib.contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the block when SIGTERM first comes, if this is the main thread; then ignore it."""
    if not _in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def own_sigterm_handler() -> Iterator[None]:
    """Put this program's handler of SIGTERM back after a block in which Ray starts and sets its own."""
    before = signal.getsignal(signal.SIGTERM) if _in_main_thread() else None
    try:
        yield
    finally:
        if callable(before):
            signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, _ignore)  # a handler and not SIG_IGN, which child processes would inherit
    raise KeyboardInterrupt


def _ignore(number: int, frame: FrameType | None) -> None:
    pass


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
