"""Notes of what was begun, so that a video which kills its worker is not tried for ever.

A note is written before a source is opened and removed when it is done. A worker that finds two notes for a
source knows that two workers died on it.
"""

from __future__ import annotations

from pathlib import Path

DEATHS_ALLOWED = 2


class Attempts:
    """Counts of begun and never finished attempts, one small file a source under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, source: str) -> bool:
        """Note an attempt at `source` (a file-name-safe id); false where it has killed its worker too often."""
        self._folder.mkdir(parents=True, exist_ok=True)
        note = self._folder / source
        deaths = note.stat().st_size if note.exists() else 0
        if deaths >= DEATHS_ALLOWED:
            return False
        with note.open("ab") as file:
            file.write(b".")
        return True

    def finish(self, source: str) -> None:
        """The attempt ended without killing the worker, well or badly."""
        (self._folder / source).unlink(missing_ok=True)
