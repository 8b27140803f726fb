"""Notes of what was begun, so that a video which kills its worker is not tried for ever.

A note is written before a source is opened and removed when it is done. A worker that finds two marks in a
source's note knows that two workers died on it; that note stays until the shard is committed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEATHS_ALLOWED = 2


class Attempts:
    """Counts of begun and never finished attempts, one small file a source under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deaths(self, source: str) -> int:
        """How many workers died on `source` (an id that is safe as a file name)."""
        note = self._folder / source
        return note.stat().st_size if note.exists() else 0

    @contextmanager
    def alive(self, source: str) -> Iterator[None]:
        """Note an attempt at `source`; the mark is taken back unless this process dies inside."""
        self._folder.mkdir(parents=True, exist_ok=True)
        note = self._folder / source
        deaths = self.deaths(source)
        with note.open("ab") as file:
            file.write(b".")
        try:
            yield
        finally:
            if deaths:
                os.truncate(note, deaths)
            else:
                note.unlink(missing_ok=True)
