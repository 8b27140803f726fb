"""A teacher's hidden states on disk: rows of float16 that are filled as they come, and a byte a row of what is there.

    CACHE/<hash>/
      states.json      what they are of: teacher, corpus, block length, masks, input; number and size of rows
      states.f16       [rows, L, G] float16, sparse until filled; memory-mapped to be read
      there.u8         [rows]: 1 where the row is there; written after its states have reached the disk

Several ranks of one machine share a cache: each writes rows of its own, and reads what the others have marked. Rows
are written by system calls and not through the map: on a full disk that is an error and not a killed process.

Shapes: B rows asked for, L tokens, G width of the teacher.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.errors import MachineError, UserError
from runtime.settings import content_hash

_FACTS: Final = "states.json"
_STATES: Final = "states.f16"
_THERE: Final = "there.u8"
_FORMAT: Final = 1
_FLUSH_BYTES: Final = 256 * 2**20
"""States that are written before they are forced to the disk and marked."""
_FLUSH_SECONDS: Final = 60.0
"""How long a row waits for that at most, while others are written."""


@dataclass(frozen=True)
class CacheShape:
    """How much a cache holds when it is full."""

    rows: int
    """Blocks, times the copies of their masks."""
    length: int
    """Tokens of a block, specials included."""
    width: int
    """Of the teacher's hidden states."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return 2 * self.length * self.width

    @property
    def gigabytes(self) -> float:
        """10⁹ bytes of all rows."""
        return self.rows * self.row_bytes / 1e9


class StateCache:
    """Rows of states by number; a number that is not there yet is computed by the caller and put in."""

    def __init__(self, cache: Path, shape: CacheShape, facts: Mapping[str, Any]) -> None:
        """Open the cache of these facts, or lay it out.

        Args:
            cache: folder of all caches; made where it is not there.
            shape: rows and their size.
            facts: plain values that decide what the states are; their hash names the folder.

        Raises:
            UserError: the disk is too small for what is still missing, what lies there is of another size, or a file
                lies where the folder would be.
            MachineError: the folder can't be written.
        """
        self.shape = shape
        values = {"format": _FORMAT, "rows": shape.rows, "length": shape.length, "width": shape.width, **facts}
        self.folder = cache / content_hash(values)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _check_sizes(self.folder, shape)
            _check_space(self.folder, shape)
            self._states_file = _laid_out(self.folder / _STATES, shape.rows * shape.row_bytes)
            self._there_file = _laid_out(self.folder / _THERE, shape.rows)
            (self.folder / _FACTS).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        except (NotADirectoryError, FileExistsError, FileNotFoundError) as error:
            raise UserError(f"teacher.cache={cache}: no folder can be there ({error.strerror}); name another") from None
        except OSError as error:
            raise MachineError(f"teacher.cache {self.folder}: can't be written ({error.strerror or error})") from error
        lengths = (shape.rows, shape.length, shape.width)
        self._states = np.memmap(self.folder / _STATES, np.float16, "r", shape=lengths)
        self._there = np.memmap(self.folder / _THERE, np.uint8, "r", shape=(shape.rows,))
        self._pending: list[int] = []
        self._flushed = time.monotonic()

    def there(self, rows_B: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these rows can be read."""
        marked_B = self._there[rows_B].astype(np.bool_)
        return marked_B | np.isin(rows_B, self._pending) if self._pending else marked_B

    def read(self, rows_B: NDArray[np.int64]) -> NDArray[np.float16]:
        """The states of rows that are there, [B, L, G]."""
        return np.asarray(self._states[rows_B])

    def write(self, rows_B: NDArray[np.int64], states_BLG: NDArray[np.float16]) -> None:
        """Put rows in; others see them after the next `flush`, which comes by itself every 256 MiB or minute.

        Raises:
            MachineError: the disk is full, or failed.
        """
        assert states_BLG.dtype == np.float16, "states are rounded before they are used, not only when they are kept"
        try:
            for row, states_LG in zip(rows_B.tolist(), states_BLG, strict=True):
                _put(self._states_file, np.ascontiguousarray(states_LG).tobytes(), row * self.shape.row_bytes)
                self._pending.append(row)
            late = time.monotonic() - self._flushed > _FLUSH_SECONDS
            if late or len(self._pending) * self.shape.row_bytes >= _FLUSH_BYTES:
                self.flush()
        except OSError as error:
            raise MachineError(f"teacher.cache {self.folder}: can't be written ({error.strerror or error})") from error

    def flush(self) -> None:
        """Bring what was written to the disk, then mark it as there."""
        self._flushed = time.monotonic()
        if not self._pending:
            return
        os.fdatasync(self._states_file)
        for row in self._pending:
            _put(self._there_file, b"\x01", row)
        self._pending.clear()

    def filled(self) -> int:
        """Rows that are marked as there."""
        return int(np.count_nonzero(self._there))

    def close(self) -> None:
        """Flush, and give the files back; the cache is not used after it."""
        self.flush()
        os.close(self._states_file)
        os.close(self._there_file)


def _check_sizes(folder: Path, shape: CacheShape) -> None:
    for name, size in ((_STATES, shape.rows * shape.row_bytes), (_THERE, shape.rows)):
        path = folder / name
        if path.exists() and path.stat().st_size not in (0, size):
            raise UserError(
                f"teacher.cache {path}: {path.stat().st_size} bytes where {size} belong: it was cut short or is not a "
                "cache; remove the folder, it is filled anew"
            )


def _check_space(folder: Path, shape: CacheShape) -> None:
    """Room for all that is not allocated yet: a run must not find out in its third day."""
    states = folder / _STATES
    allocated = states.stat().st_blocks * 512 if states.exists() else 0
    needed, free = shape.rows * shape.row_bytes - allocated, shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"teacher.cache {folder}: {shape.rows} rows of {shape.length} tokens x {shape.width} need "
            f"{needed / 1e9:.3g} GB more and {free / 1e9:.3g} GB are free; name a folder on a larger disk, or leave "
            "teacher.cache out: states are then computed in each step"
        )


def _laid_out(path: Path, size: int) -> int:
    """The file, opened and of that size; ranks that race find the same."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if os.fstat(descriptor).st_size != size:
        os.ftruncate(descriptor, size)
    return descriptor


def _put(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
