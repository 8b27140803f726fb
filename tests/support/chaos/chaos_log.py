"""The log of a fault suite: seed, every fault with its time and victim, every end of a run, and the result."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path


class ChaosLog:
    """Lines with the seconds since the begin, in a file and on standard output."""

    def __init__(self, path: Path, seed: int, about: str) -> None:
        self._path = path
        self._began = time.monotonic()
        self.faults: Counter[str] = Counter()
        """Faults so far, by the part that was struck."""
        self.say(f"seed {seed}: {about}")

    def fault(self, part: str, what: str) -> None:
        """Count a fault and log it."""
        self.faults[part] += 1
        self.say(f"fault {self.faults.total():2d}: {part}, {what}")

    def say(self, line: str) -> None:
        """Log a line."""
        stamped = f"{time.monotonic() - self._began:7.1f} s  {line}"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{stamped}\n")
        print(stamped, file=sys.stdout, flush=True)

    def summary(self) -> str:
        """Return the faults by part, as one line."""
        counts = ", ".join(f"{part} {count}" for part, count in sorted(self.faults.items()))
        return f"{self.faults.total()} faults ({counts})"
