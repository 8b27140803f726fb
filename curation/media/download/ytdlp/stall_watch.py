"""Detect that a download makes no progress, even if a socket that drips bytes blocks the reading thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class StallWatch:
    """Call back, from a thread of its own, if there is no progress for too long."""

    def __init__(self, seconds: float, min_bytes_per_second: float, stalled: Callable[[str], None]) -> None:
        """Create a watch that is suspended; `suspend(False)` starts it.

        Args:
            seconds: longest time without progress.
            min_bytes_per_second: bytes that arrive more slowly do not count as progress.
            stalled: called once, with one line that names the limit.
        """
        self._seconds = seconds
        self._enough = min_bytes_per_second * seconds
        self._stalled = stalled
        self._bytes: dict[str, float] = {}
        self._suspended = True
        self.beat()
        threading.Thread(target=self._run, daemon=True).start()

    def beat(self) -> None:
        """Record progress: a request or a file was finished."""
        self._since, self._bytes_then = time.monotonic(), self.total()

    def suspend(self, suspended: bool) -> None:
        """Suspend the watch during local work (merging, for example), which has no time limit here; or resume it."""
        self.beat()  # first, because the thread may check in between, after local work longer than `seconds`
        self._suspended = suspended

    def arrived(self, name: str, size: float) -> None:
        """Record that `size` bytes of file `name` have arrived so far; enough new bytes count as progress."""
        self._bytes[name] = size
        if self.total() - self._bytes_then >= max(self._enough, 1.0):
            self.beat()

    def total(self) -> float:
        """Return the bytes of all files so far."""
        return sum(self._bytes.values())

    def _run(self) -> None:
        while self._suspended or time.monotonic() - self._since <= self._seconds:
            time.sleep(min(self._seconds / 10, 1.0))
        self._stalled(f"timeout: less than {self._enough:.0f} bytes in {self._seconds:g} s")
