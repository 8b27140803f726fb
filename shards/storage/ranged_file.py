"""An object in a store as a file to read: few large requests where it is read onwards, small ones where it jumps."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

FIRST_BLOCK: Final = 1 << 16
"""Bytes that are requested after a jump: a header, or the footer of a table."""
_LARGEST_BLOCK: Final = 1 << 23
_GROWTH: Final = 4
_NEAR: Final = 1 << 20
"""A read that begins at most so many bytes after the last block continues it."""


class RangedFile(io.RawIOBase):
    """A file of `size` bytes that `read_range(offset, size)` reads; one thread at a time may use it.

    The block that is requested grows from `FIRST_BLOCK` to 8 MiB while reads go onwards, so walking over the headers
    of a tar of small pictures fetches the tar in a few requests, and over those of a tar of videos one header a video.
    """

    def __init__(self, read_range: Callable[[int, int], bytes], size: int) -> None:
        self._read_range = read_range
        self._size = size
        self._position = 0
        self._block = b""
        self._block_start = 0
        self._next_block = FIRST_BLOCK

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position; nothing is requested."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes from the position (to the end without `size`); fewer only at the end."""
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        held = self._held(wanted)
        if len(held) < wanted:
            held += self._fetch(self._position + len(held), wanted - len(held))
        self._position += len(held)
        return held

    def readall(self) -> bytes:
        """Read to the end."""
        return self.read()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer`, and return the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _held(self, wanted: int) -> bytes:
        """Return those of the wanted bytes that the block in memory begins with."""
        start = self._position - self._block_start
        return self._block[start : start + wanted] if 0 <= start < len(self._block) else b""

    def _fetch(self, start: int, wanted: int) -> bytes:
        """Request a block from `start`, keep it, and return its first `wanted` bytes."""
        gap = start - (self._block_start + len(self._block))
        is_onwards = bool(self._block) and 0 <= gap <= _NEAR
        self._next_block = min(self._next_block * _GROWTH, _LARGEST_BLOCK) if is_onwards else FIRST_BLOCK
        size = min(max(wanted, self._next_block), self._size - start)
        self._block, self._block_start = self._read_range(start, size), start
        return self._block[:wanted]
