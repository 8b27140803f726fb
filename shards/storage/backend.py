"""The interface of a folder and of an object store, one of which is behind every `shards.storage.store.Store`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """One file of a listing."""

    size: int
    """Bytes."""
    token: str
    """Changes whenever the file is rewritten: modification time and inode on disk, ETag in an object store."""


class Backend(Protocol):
    """Files by name below one root; names are relative and checked, ``""`` is the root. See `Store` for each call."""

    root: str
    """Absolute path, or URL."""

    def list(self, folder: str, prefix: str) -> dict[str, ObjectInfo]:
        """Return the files directly in `folder` whose names begin with `prefix`."""
        ...

    def info(self, name: str) -> ObjectInfo:
        """Return size and token of a file."""
        ...

    def folders(self, folder: str) -> Sequence[str]:
        """Return the names of the folders directly in `folder`, in any order, dot-folders included."""
        ...

    def exists(self, name: str) -> bool:
        """Return True if the file is there."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file to read."""
        ...

    def read_bytes(self, name: str, offset: int, size: int | None) -> bytes:
        """Read a range of a file."""
        ...

    def download(self, name: str, target: Path) -> None:
        """Copy a file to a local path."""
        ...

    def commit(self, local: Path, name: str) -> None:
        """Move a finished scratch file to `name`."""
        ...

    def commit_bytes(self, data: bytes, name: str) -> None:
        """Write a file whole."""
        ...

    def create(self, name: str, data: bytes) -> str:
        """Write a file that does not exist yet, and return its token."""
        ...

    def replace(self, name: str, data: bytes, token: str) -> str:
        """Write a file in the place of the one with `token`, and return its new token."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        ...

    def delete_folder(self, folder: str) -> None:
        """Remove a folder if it is there."""
        ...

    def replace_folder(self, new: str, old: str) -> None:
        """Put one folder in the place of another."""
        ...

    def mend_folders(self, folder: str) -> None:
        """Undo or complete interrupted replacements of folders directly in `folder`."""
        ...

    def sweep(self, folder: str) -> int:
        """Remove and count half-written files."""
        ...
