"""Notices that a download no longer moves, even where a socket that drips bytes blocks the thread that reads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watch:
    """Calls back, from a thread of its own, when nothing has moved for too long."""

    def __init__(self, seconds: float, min_bytes_per_second: float, stalled: Callable[[str], None]) -> None:
        """Start a watch that is suspended; `suspend(False)` begins it.

        Args:
            seconds: how long nothing may move.
            min_bytes_per_second: bytes that come more slowly don't count as moving.
            stalled: called once, with one line that says what was missed.
        """
        self._seconds = seconds
        self._enough = min_bytes_per_second * seconds
        self._stalled = stalled
        self._bytes: dict[str, float] = {}
        self._suspended = True
        self.beat()
        threading.Thread(target=self._run, daemon=True).start()

    def beat(self) -> None:
        """Something came to its end: a request, a file."""
        self._since, self._bytes_then = time.monotonic(), self.total()

    def suspend(self, suspended: bool) -> None:
        """Work on this machine begins or ends: it takes what it takes."""
        self.beat()  # first: the thread may look in between, and local work may have taken longer than `seconds`
        self._suspended = suspended

    def arrived(self, name: str, size: float) -> None:
        """`size` bytes of file `name` have come so far; enough of them are a beat."""
        self._bytes[name] = size
        if self.total() - self._bytes_then >= max(self._enough, 1.0):
            self.beat()

    def total(self) -> float:
        """Bytes of all files so far."""
        return sum(self._bytes.values())

    def _run(self) -> None:
        while self._suspended or time.monotonic() - self._since <= self._seconds:
            time.sleep(min(self._seconds / 10, 1.0))
        self._stalled(f"timeout: less than {self._enough:.0f} bytes in {self._seconds:g} s")
