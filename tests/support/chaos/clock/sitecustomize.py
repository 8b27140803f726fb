"""Python imports this at the start of every process that has this folder on its path: the wall clock is then shifted.

The file that ``CHAOS_CLOCK`` names holds the seconds by which it is wrong; it is read at every look at the clock, so
that the clocks of all processes jump together. The monotonic clock does not jump, as on a real machine.
"""

import os
import time
from pathlib import Path

_time = time.time
_path = Path(os.environ.get("CHAOS_CLOCK", os.devnull))


def _shifted() -> float:
    try:
        return _time() + float(_path.read_text() or 0)
    except (OSError, ValueError):
        return _time()


time.time = _shifted
