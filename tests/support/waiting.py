"""Waits for another process or thread: no longer than needed, and long enough for a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 240.0
"""Seconds that suffice on a busy machine; a wait ends as soon as its condition is true."""


def until(happened: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Return when `happened()` is true; fail with `what` if it does not become true in time."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)
