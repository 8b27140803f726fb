"""Notes of what was begun, so that a video which kills its worker is not tried for ever: in curation and in training.

A note is written before a source is opened and removed when it is done. A worker that finds two marks in a
source's note knows that two workers died on it; that note stays until the shard is committed. A mark that a killed
*run* has left counts half: the whole machine may have gone down for reasons of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runtime.failures import DEATHS_PER_SOURCE

DEATHS_ALLOWED: Final = DEATHS_PER_SOURCE.count
_MARK, _OLD_MARK = b".", b","


class Attempts:
    """Counts of begun and never finished attempts, one small file a source under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deaths(self, source: str) -> int:
        """How many workers died on `source` (an id that is safe as a file name)."""
        note = self._folder / source
        marks = note.read_bytes() if note.exists() else b""
        return marks.count(_MARK) + marks.count(_OLD_MARK) // 2

    @contextmanager
    def alive(self, source: str) -> Iterator[None]:
        """Note an attempt at `source`; the mark is taken back unless this process dies inside."""
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


def grow_old(folder: Path) -> None:
    """At the start of a run: the notes below `folder` are of a run that was killed."""
    for note in folder.rglob("*"):
        if note.is_file():
            note.write_bytes(note.read_bytes().replace(_MARK, _OLD_MARK))


def forget(folder: Path) -> None:
    """At the end of a run, when its workers have been stopped: no death that is still noted below `folder` counts."""
    shutil.rmtree(folder, ignore_errors=True)
