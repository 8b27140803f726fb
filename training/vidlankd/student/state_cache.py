"""Cache of a teacher's hidden states on disk: rows of float16, written as they are computed, and one mark per row.

    CACHE/<hash>/
      states.json      teacher, precision, corpus, block length, masks and input; number and size of rows
      states.f16       [rows, L, G] float16, sparse until filled; memory-mapped for reading
      there.u8         [rows]: 1 if the row is stored; written after its states have reached the disk

Several ranks of one machine share a cache: each writes its own rows and reads those that the others have marked. Rows
are written by system calls, not through the memory map: a full disk then raises an error instead of killing the
process.

Shapes: B rows that are read or written, L tokens, G width of the teacher.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from runtime.errors import MachineError, UserError
from runtime.settings import content_hash

_FACTS: Final = "states.json"
_STATES: Final = "states.f16"
_MARKS: Final = "there.u8"
_FORMAT: Final = 1
_FLUSH_BYTES: Final = 256 * 2**20
"""Bytes of states after which rows are flushed to the disk and marked."""
_FLUSH_SECONDS: Final = 60.0
"""Longest time after which rows are flushed, while others are written."""


@dataclass(frozen=True)
class CacheShape:
    """Shape of a full cache."""

    rows: int
    """Number of blocks times the copies of their masks."""
    length: int
    """Tokens of a block, specials included."""
    width: int
    """Width of the teacher's hidden states."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return 2 * self.length * self.width

    @property
    def gigabytes(self) -> float:
        """Size of all rows in 10⁹ bytes."""
        return self.rows * self.row_bytes / 1e9


class StateCache:
    """Rows of states by number; the caller computes and writes rows that are missing."""

    def __init__(self, cache: Path, shape: CacheShape, facts: Mapping[str, object]) -> None:
        """Open the cache for these facts, or create it.

        Args:
            cache: folder of all caches; created if it does not exist.
            shape: rows and their size.
            facts: plain values that decide the states; their hash names the folder.

        Raises:
            UserError: the disk is too small for the missing rows, existing files have another size, or a file is at the
                folder's path.
            MachineError: the folder can't be written.
        """
        self.shape = shape
        values = {"format": _FORMAT, "rows": shape.rows, "length": shape.length, "width": shape.width, **facts}
        self.folder = cache / content_hash(values)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _check_sizes(self.folder, shape)
            _check_space(self.folder, shape)
            self._states_file = _open_sized(self.folder / _STATES, shape.rows * shape.row_bytes)
            self._marks_file = _open_sized(self.folder / _MARKS, shape.rows)
            (self.folder / _FACTS).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        except (NotADirectoryError, FileExistsError, FileNotFoundError) as error:
            raise UserError(f"teacher.cache={cache}: can't be a folder ({error.strerror}); name another") from None
        except OSError as error:
            raise MachineError(f"teacher.cache {self.folder}: can't be written ({error.strerror or error})") from error
        lengths = (shape.rows, shape.length, shape.width)
        self._states = np.memmap(self.folder / _STATES, np.float16, "r", shape=lengths)
        self._marks = np.memmap(self.folder / _MARKS, np.uint8, "r", shape=(shape.rows,))
        self._pending: list[int] = []
        self._flushed = time.monotonic()

    def is_stored(self, rows_B: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of these rows can be read."""
        marked_B = self._marks[rows_B].astype(np.bool_)
        return marked_B | np.isin(rows_B, self._pending) if self._pending else marked_B

    def read(self, rows_B: NDArray[np.int64]) -> NDArray[np.float16]:
        """Read the states of stored rows, [B, L, G]."""
        return np.asarray(self._states[rows_B])

    def write(self, rows_B: NDArray[np.int64], states_BLG: NDArray[np.float16]) -> None:
        """Write rows. Other ranks see them after the next `flush`, which happens at the latest every 256 MiB or minute.

        Raises:
            MachineError: the disk is full or fails.
        """
        assert states_BLG.dtype == np.float16, "states must be rounded before use, not only when they are cached"
        try:
            for row, states_LG in zip(rows_B.tolist(), states_BLG, strict=True):
                _write_at(self._states_file, np.ascontiguousarray(states_LG).tobytes(), row * self.shape.row_bytes)
                self._pending.append(row)
            late = time.monotonic() - self._flushed > _FLUSH_SECONDS
            if late or len(self._pending) * self.shape.row_bytes >= _FLUSH_BYTES:
                self.flush()
        except OSError as error:
            raise MachineError(f"teacher.cache {self.folder}: can't be written ({error.strerror or error})") from error

    def flush(self) -> None:
        """Force written rows to the disk, then mark them."""
        self._flushed = time.monotonic()
        if not self._pending:
            return
        os.fdatasync(self._states_file)
        for row in self._pending:
            _write_at(self._marks_file, b"\x01", row)
        self._pending.clear()

    def filled(self) -> int:
        """Return the number of rows that are marked."""
        return int(np.count_nonzero(self._marks))

    def close(self) -> None:
        """Flush and close the files; the cache can't be used afterwards."""
        self.flush()
        os.close(self._states_file)
        os.close(self._marks_file)


def _check_sizes(folder: Path, shape: CacheShape) -> None:
    """Refuse existing files of another size."""
    for name, size in ((_STATES, shape.rows * shape.row_bytes), (_MARKS, shape.rows)):
        path = folder / name
        if path.exists() and path.stat().st_size not in (0, size):
            raise UserError(
                f"teacher.cache {path}: has {path.stat().st_size} bytes instead of {size}: it is truncated or not a "
                "cache; remove the folder, and it will be filled again"
            )


def _check_space(folder: Path, shape: CacheShape) -> None:
    """Refuse a disk without room for all missing rows: a run must not fail on its third day."""
    states = folder / _STATES
    allocated = states.stat().st_blocks * 512 if states.exists() else 0
    missing, free = shape.rows * shape.row_bytes - allocated, shutil.disk_usage(folder).free
    if missing > free:
        raise UserError(
            f"teacher.cache {folder}: {shape.rows} rows of {shape.length} tokens x {shape.width} need "
            f"{missing / 1e9:.3g} GB more and {free / 1e9:.3g} GB are free; name a folder on a larger disk, or "
            "leave teacher.cache out, so that states are computed in each step"
        )


def _open_sized(path: Path, size: int) -> int:
    """Open a file and give it that size; safe when several ranks do so at once."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if os.fstat(descriptor).st_size != size:
        os.ftruncate(descriptor, size)
    return descriptor


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
