"""Waits for what another process or thread does: as short as it takes, and long enough for a machine that is busy."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 240.0
"""Seconds that are sure to suffice; a wait that ends when the thing happens costs nothing by being allowed to last."""


def until(happened: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Return when `happened()` is true; fail with `what` was waited for."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)
