"""Tars of media and keyframes: written in one pass with known byte ranges, read by ranges.

They are plain USTAR with constant headers, so the same members give the same bytes, stock `webdataset` iterates over
them, and a member can be read without the rest of the tar. Python's `tarfile` writes the format; it lacks the offset of
the last member, and a reader that stops at damage instead of skipping it.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from shards.artifact import FileFact
from shards.errors import ShardError
from shards.storage.store import Store

_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class ByteSpan:
    """The byte range of a member in its tar."""

    offset: int
    size: int


@dataclass(frozen=True)
class Member:
    """One file of a tar: its name and its byte range."""

    name: str
    offset: int
    size: int


class TarWriter:
    """Writes a tar to scratch, hashing as it goes; use as a context manager.

    After a clean close `fact` holds size and hash; after an exception (a full disk, too) the file is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fact: FileFact | None = None

    def __enter__(self) -> Self:
        self._file = _Hashing(self.path.open("wb", buffering=1 << 20))
        self._tar = tarfile.TarFile(mode="w", fileobj=self._file, format=tarfile.USTAR_FORMAT)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._tar.close()
            self._file.close()
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise
        if kind is None:
            self._fact = FileFact(self._file.size, self._file.sha256)
        else:
            self.path.unlink(missing_ok=True)

    def add(self, name: str, data: bytes | Path) -> ByteSpan:
        """Append a member and return its byte range.

        Args:
            name: name of the member.
            data: the bytes, or a file to copy them from.

        Raises:
            ValueError: USTAR can't hold the name (over 255 bytes).
        """
        info = tarfile.TarInfo(name)
        if isinstance(data, Path):
            info.size = data.stat().st_size
            with data.open("rb") as file:
                self._tar.addfile(info, file)
        else:
            info.size = len(data)
            self._tar.addfile(info, io.BytesIO(data))
        padding = -info.size % _BLOCK
        return ByteSpan(self._file.size - padding - info.size, info.size)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Take back what was added within the block if the block raises."""
        listed = self._tar.getmembers()
        offset, count, mark = self._tar.offset, len(listed), self._file.mark()
        try:
            yield
        except BaseException:
            self._file.return_to(mark)
            self._tar.offset = offset
            del listed[count:]
            raise

    @property
    def fact(self) -> FileFact:
        """Size and SHA-256 of the finished tar."""
        if self._fact is None:
            raise RuntimeError(f"{self.path} is not closed yet")
        return self._fact


class _Mark(NamedTuple):
    """An end that a file had: its size and the hash of its bytes."""

    size: int
    hash: hashlib._Hash


class _Hashing(io.RawIOBase):
    """A file that counts and hashes the bytes written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.size

    def mark(self) -> _Mark:
        """Return the present end of the file."""
        return _Mark(self.size, self._hash.copy())

    def return_to(self, mark: _Mark) -> None:
        """Remove what was written since `mark`."""
        self._file.seek(mark.size)
        self._file.truncate()
        self.size, self._hash = mark.size, mark.hash.copy()

    def close(self) -> None:
        self._file.close()
        super().close()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def members(store: Store, name: str) -> Iterator[Member]:
    """Yield the members of a tar from its headers; their bytes are not read.

    Raises:
        ShardError: a header is damaged or the tar ends too early.
        FileNotFoundError: there is no such tar.
    """
    with store.open(name) as file:
        end = file.seek(0, io.SEEK_END)
        position = 0
        while True:
            file.seek(position)
            header = file.read(_BLOCK)
            if header == bytes(_BLOCK):
                return
            if len(header) < _BLOCK:
                raise ShardError(f"{name}: ends at byte {position + len(header)} without an end mark; it was cut short")
            member = _member(header, position, name)
            position = member.offset + member.size + -member.size % _BLOCK
            if position > end:
                raise ShardError(f"{name}: {member.name} runs past the end of the tar; it was cut short")
            yield member


def member_after(store: Store, name: str, span: ByteSpan) -> Member:
    """Return the member that follows another one in a tar, by its header alone.

    Raises:
        ShardError: there is none, or its header is damaged.
        FileNotFoundError: there is no such tar.
    """
    position = span.offset + span.size + -span.size % _BLOCK
    return _member(read_span(store, name, position, _BLOCK), position, name)


def _member(header: bytes, position: int, name: str) -> Member:
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise ShardError(f"{name}: no readable tar header at byte {position} ({error})") from None
    if not info.isreg():
        raise ShardError(f"{name}: {info.name} is not a plain file")
    return Member(info.name, position + _BLOCK, info.size)


def read_span(store: Store, name: str, offset: int, size: int) -> bytes:
    """Read one member's bytes.

    Raises:
        ShardError: the tar ends before them.
        FileNotFoundError: there is no such tar.
    """
    data = store.read_bytes(name, offset, size)
    if len(data) != size:
        raise ShardError(f"{name}: bytes {offset} to {offset + size} are not all there; the tar was cut short")
    return data
