"""Notes of started attempts: a video that kills its worker is given up after `DEATHS_ALLOWED` deaths.

A note is written before a source is opened and removed when its work has ended. Two marks in a source's note mean that
two workers died on it; the note stays until the shard is committed. A mark left by a killed *run* counts half, because
the machine may have gone down for other reasons.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runtime.retry_limits import DEATHS_PER_SOURCE

DEATHS_ALLOWED: Final = DEATHS_PER_SOURCE.count
_MARK, _OLD_MARK = b".", b","


class Attempts:
    """Counts of attempts that started and never ended, one small file a source in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deaths(self, source: str) -> int:
        """Return how many workers died on `source` (an id that is safe as a file name)."""
        note = self._folder / source
        marks = note.read_bytes() if note.exists() else b""
        return marks.count(_MARK) + marks.count(_OLD_MARK) // 2

    @contextmanager
    def attempt(self, source: str) -> Iterator[None]:
        """Note an attempt at `source`; the mark is removed unless this process dies inside the block."""
        self._folder.mkdir(parents=True, exist_ok=True)
        note = self._folder / source
        before = note.stat().st_size if note.exists() else 0
        with note.open("ab") as file:
            file.write(_MARK)
        try:
            yield
        finally:
            if before:
                os.truncate(note, before)
            else:
                note.unlink(missing_ok=True)


class SuspectGate:
    """Lets many attempts of one process go on at once, but one at a video that may have killed a worker alone.

    A dead worker leaves a mark at every video that it was at work on. Were they tried together again, the second death
    would count against all of them, though one is to blame.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._suspects = 0
        """Attempts that are alone, or wait to be."""

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Wait until an attempt may begin, and hold back those that it excludes."""
        with self._changed:
            self._suspects += alone
            try:
                self._changed.wait_for(lambda: self._inside == 0 if alone else self._suspects == 0)
            except BaseException:
                self._suspects -= alone
                raise
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._suspects -= alone
                self._changed.notify_all()


def age_notes(folder: Path) -> None:
    """Mark the notes below `folder` as those of a killed run; called at the start of a run."""
    for note in folder.rglob("*"):
        if note.is_file():
            note.write_bytes(note.read_bytes().replace(_MARK, _OLD_MARK))


def remove_notes(folder: Path) -> None:
    """Remove all notes below `folder`; called at the end of a run, after its workers were stopped."""
    shutil.rmtree(folder, ignore_errors=True)
