"""A DIR to read and write: a folder, or a prefix in an object store (any fsspec URL), behind the same few calls.

A file appears whole or not at all. In a folder it is written beside its place, flushed and renamed; in an object
store it is one whole-object upload. Names are relative to the DIR, with ``/`` between their parts. Folders on
other file systems (NFS, Lustre, a FUSE mount) are folders; URLs are meant for object stores, where an upload is
seen only when it is complete.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from shards.errors import ShardError
from shards.storage.backend import Backend, ObjectInfo
from shards.storage.files import stream_sha256
from shards.storage.local_folder import LocalFolder
from shards.storage.object_store import ObjectStore

_BROKEN_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)/(?!/)")
"""A URL with one slash instead of two."""
_READ_ONLY: Final = ("http", "https", "data", "github", "reference", "zip", "tar")
"""Protocols that fsspec can only read."""


class Store:
    """A DIR to read from and to commit to; cheap to make, safe to share between threads, can be pickled."""

    def __init__(self, root: str | Path) -> None:
        """Name a DIR by path or fsspec URL (``s3://bucket/prefix``); nothing is created or opened yet.

        Raises:
            ShardError: the URL's protocol is unknown, the package that speaks it is not installed, or the slashes of
                the URL were lost, as a `Path` loses them.
        """
        text = str(root).removeprefix("file://")
        if (broken := _BROKEN_URL.match(text)) is not None and not Path(broken[1]).exists():
            raise ShardError(f"{text}: is no folder and no URL; write {broken[1]}//{text[broken.end() :]}")
        self._backend: Backend = ObjectStore(text) if "://" in text else LocalFolder(text)
        self.root = self._backend.root

    def __repr__(self) -> str:
        return f"Store({self.root!r})"

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.root,)

    @property
    def is_local(self) -> bool:
        """True if the DIR is a folder of this machine, mounts included."""
        return isinstance(self._backend, LocalFolder)

    @property
    def is_read_only(self) -> bool:
        """True if the DIR is behind a protocol that can't write, such as a web server."""
        return self.root.partition("://")[0].lower() in _READ_ONLY

    def path(self, name: str) -> str:
        """Return the full path or URL of `name`, to pass to other libraries.

        Raises:
            ShardError: `name` leaves the DIR or is not a plain relative name.
        """
        return f"{self.root}/{_checked(name)}"

    def list(self, folder: str = "", *, prefix: str = "") -> dict[str, ObjectInfo]:
        """Return the files directly in `folder`, by one listing; empty if there is no such folder.

        Names that start with a dot are left out, and those that do not begin with `prefix`; S3 lists no others.
        """
        return self._backend.list(_checked_folder(folder), prefix)

    def entry(self, name: str) -> ObjectInfo:
        """Return size and token of the file `name`.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: the store does not report how large it is.
        """
        return self._backend.info(_checked(name))

    def folders(self, folder: str = "", *, hidden: bool = False) -> Sequence[str]:
        """Return the names of the folders directly in `folder`, sorted; those that start with a dot if `hidden`."""
        names = self._backend.folders(_checked_folder(folder))
        return sorted(name for name in names if hidden or not name.startswith("."))

    def exists(self, name: str) -> bool:
        """Return True if there is a file `name`."""
        return self._backend.exists(_checked(name))

    def open(self, name: str) -> BinaryIO:
        """Open `name` to read bytes at any position.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return self._backend.open(_checked(name))

    def read_bytes(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """Read `size` bytes from `offset` (to the end without `size`); fewer if the file ends before.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return self._backend.read_bytes(_checked(name), offset, size)

    def download(self, name: str, target: Path) -> None:
        """Copy the file `name` to the local path `target`.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: the store or the local disk failed; what is at `target` then is not whole.
        """
        self._backend.download(_checked(name), target)

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a whole file, 64 hex digits.

        Raises:
            FileNotFoundError: there is no such file.
        """
        with self.open(name) as file:
            return stream_sha256(file)

    def commit(self, local: Path, name: str) -> None:
        """Make the finished scratch file `local` appear as `name`, replacing an old file; `local` is gone afterwards.

        Raises:
            OSError: disk full, no permission, network; nothing half-written stays behind.
        """
        self._backend.commit(local, _checked(name))

    def commit_bytes(self, data: bytes, name: str) -> None:
        """Make `data` appear as the file `name`, replacing an old file.

        Raises:
            OSError: as for `commit`.
        """
        self._backend.commit_bytes(data, _checked(name))

    def create(self, name: str, data: bytes) -> str:
        """Write `name` only if it does not exist yet, and return its token: of two callers at once, one succeeds.

        The data must be the caller's own. On S3 this is a conditional upload; on other object stores it is one if
        fsspec offers it, otherwise a look before the upload.

        Raises:
            FileExistsError: the file is there.
        """
        return self._backend.create(_checked(name), data)

    def replace(self, name: str, data: bytes, token: str) -> str:
        """Write `name` only if the file there still has `token`, and return its new token.

        On S3 this is a conditional upload, so of two callers at once one succeeds; elsewhere it is a look before the
        write.

        Raises:
            FileExistsError: another file is there, or this one: an upload whose answer was lost is repeated and
                meets itself.
            FileNotFoundError: there is no such file any more.
        """
        return self._backend.replace(_checked(name), data, token)

    def delete(self, name: str) -> None:
        """Remove the file `name`; a missing file is no error."""
        self._backend.delete(_checked(name))

    def delete_folder(self, folder: str) -> None:
        """Remove `folder` and everything in it; a missing folder is no error."""
        self._backend.delete_folder(_checked_folder(folder))

    def replace_folder(self, new: str, old: str) -> None:
        """Put the folder `new` in the place of `old`: two renames in a folder, copies in an object store.

        The new folder is complete before anything of the old one is removed. If it is interrupted, all of one of them
        can be read or restored by `mend_folders`.
        """
        self._backend.replace_folder(_checked(new), _checked(old))

    def mend_folders(self, folder: str = "") -> None:
        """Undo or complete interrupted replacements of folders in `folder`. Only for the holder of the lock."""
        self._backend.mend_folders(_checked_folder(folder))

    def sweep(self, folder: str = "") -> int:
        """Remove and count what killed runs left half-written in `folder`. Only for the holder of the lock."""
        return self._backend.sweep(_checked_folder(folder))


def _checked_folder(folder: str) -> str:
    return _checked(folder) if folder else folder


def _checked(name: str) -> str:
    """Return `name` if it is a plain relative name.

    Raises:
        ShardError: it could leave the DIR.
    """
    parts = name.split("/")
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise ShardError(f"{name!r} is not a name inside a DIR: use plain relative names")
    return name
