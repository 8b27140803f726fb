"""A DIR in an object store, or whatever else fsspec speaks to: a file is one whole-object upload."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast

from shards.errors import ShardError, one_line
from shards.storage.backend import ObjectInfo
from shards.storage.storage_errors import StorageError, clear_errors
from shards.storage.url_secrets import has_secrets, without_secrets

_TOKENS: Final = (
    "ETag",
    "etag",
    "generation",
    "md5Hash",
    "content_md5",
    "LastModified",
    "Last-Modified",
    "last_modified",
    "mtime",
)
"""Names that stores have for the mark of a file's state, the best first."""
SWAP: Final = ".swap.json"
"""File in a folder that is replacing another: the name of that one, and the names of all files."""
_READ_AHEAD: Final = 1 << 16
"""Bytes. Remote files are read by ranges: headers and footers, not whole files."""


def remote_filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path on it.

    Raises:
        ShardError: the URL's protocol is unknown, the package that speaks it is not installed, or it holds a password.
    """
    from fsspec.core import url_to_fs

    if has_secrets(url):
        raise ShardError(
            f"{without_secrets(url)}: a URL must hold no password; set it where the store's library looks for it "
            "(for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )
    try:
        filesystem, base = url_to_fs(url, use_listings_cache=False)
    except (ImportError, OSError, ValueError) as error:
        raise ShardError(f"{url}: {one_line(error, keep='first')}") from None
    return filesystem, str(base).rstrip("/")


class ObjectStore:
    """The `Backend` of an fsspec URL; a failure that is not "not found" is a `StorageError`."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet.

        Raises:
            ShardError: as `remote_filesystem`.
        """
        self._fs, self._base = remote_filesystem(url)
        self.root = url.rstrip("/")

    def list(self, folder: str) -> dict[str, ObjectInfo]:
        """Return the files directly in `folder` by name; files of unknown size are left out."""
        facts = (self._with_size(facts) for facts in self._listing(folder) if facts["type"] == "file")
        named = ((PurePosixPath(known["name"]).name, known) for known in facts if known is not None)
        return {name: _info(known) for name, known in named if not name.startswith(".")}

    def info(self, name: str) -> ObjectInfo:
        """Return size and token of a file.

        Raises:
            OSError: the server does not report the size.
        """
        with self._errors(name):
            facts = self._fs.info(self._key(name))
        if facts.get("size") is None:
            raise StorageError(self._url(name), "the server does not report its size; use another server")
        return _info(facts)

    def folders(self, folder: str) -> Sequence[str]:
        """Return the names of the folders directly in `folder`."""
        return [PurePosixPath(facts["name"]).name for facts in self._listing(folder) if facts["type"] == "directory"]

    def exists(self, name: str) -> bool:
        """Return True if the file is there; only "not found" is a no.

        Raises:
            StorageError: the store failed. fsspec's own `isfile` and `exists` would say no.
        """
        facts = self._facts(name)
        return facts is not None and facts["type"] == "file"

    def open(self, name: str) -> BinaryIO:
        """Open a file to read by ranges."""
        with self._errors(name):
            return cast(BinaryIO, self._fs.open(self._key(name), "rb", block_size=_READ_AHEAD))

    def read_bytes(self, name: str, offset: int, size: int | None) -> bytes:
        """Read a range of a file with one request."""
        if size == 0:
            return b""
        end = None if size is None else offset + size
        with self._errors(name):
            return bytes(self._fs.cat_file(self._key(name), start=offset, end=end))

    def commit(self, local: Path, name: str) -> None:
        """Upload a scratch file whole, then remove it."""
        with self._errors(name, writes=True):
            self._fs.put_file(str(local), self._key(name))
        local.unlink()

    def commit_bytes(self, data: bytes, name: str) -> None:
        """Upload a file whole."""
        with self._errors(name, writes=True):
            self._fs.pipe_file(self._key(name), data)

    def create(self, name: str, data: bytes) -> None:
        """Upload a file that does not exist yet: conditionally if the store can, otherwise after a look."""
        if self.exists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self._url(name))
        with self._errors(name, writes=True):
            try:
                self._fs.pipe_file(self._key(name), data, mode="create")
            except (NotImplementedError, TypeError):  # this file system has no conditional upload
                self._fs.pipe_file(self._key(name), data)

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        if self.exists(name):
            with self._errors(name):
                self._fs.rm_file(self._key(name))

    def delete_folder(self, folder: str) -> None:
        """Remove all objects below a prefix."""
        if self._facts(folder) is not None:
            with self._errors(folder):
                self._fs.rm(self._key(folder), recursive=True)

    def replace_folder(self, new: str, old: str) -> None:
        """Put one folder in the place of another by copies; nothing is removed before all of them are there.

        A store has no renames, so the replacement is written down first (`SWAP`). If it is interrupted at any later
        point, `mend_folders` completes it.
        """
        swap = {"replaces": old, "names": sorted(self.list(new))}
        self.commit_bytes(json.dumps(swap).encode(), f"{new}/{SWAP}")
        self._complete_swap(new)

    def mend_folders(self, folder: str) -> None:
        """Complete the replacements that were interrupted."""
        for name in self.folders(folder):
            new = f"{folder}/{name}" if folder else name
            if name.startswith(".") and self.exists(f"{new}/{SWAP}"):
                self._complete_swap(new)

    def sweep(self, folder: str) -> int:
        """Return 0: an upload that was interrupted leaves no object."""
        return 0

    def _complete_swap(self, new: str) -> None:
        """Carry out the replacement that is written down in the folder `new`; every step may be repeated."""
        swap = json.loads(self.read_bytes(f"{new}/{SWAP}", 0, None))
        old, names = str(swap["replaces"]), list(swap["names"])
        left = self.list(new).keys() & names  # a file is removed here only when all have been copied
        for name in sorted(left):  # the record of the folder comes after its tables
            with self._errors(f"{old}/{name}", writes=True):
                self._fs.cp_file(self._key(f"{new}/{name}"), self._key(f"{old}/{name}"))
        for name in sorted(self.list(old).keys() - names):
            self.delete(f"{old}/{name}")
        for name in sorted(left):
            self.delete(f"{new}/{name}")
        self.delete_folder(new)

    def _key(self, name: str) -> str:
        return f"{self._base}/{name}" if name else self._base

    def _url(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _errors(self, name: str, *, writes: bool = False) -> AbstractContextManager[None]:
        return clear_errors(self._url(name), writes=writes)

    def _facts(self, name: str) -> Mapping[str, Any] | None:
        """Return fsspec's facts of a file or folder; None if it is not there."""
        try:
            with self._errors(name):
                facts: Mapping[str, Any] = self._fs.info(self._key(name))
        except FileNotFoundError:
            return None
        return facts

    def _listing(self, folder: str) -> Sequence[Mapping[str, Any]]:
        """Return fsspec's facts of everything directly in `folder`."""
        try:
            with self._errors(folder):
                listing = self._fs.ls(self._key(folder), detail=True)
        except FileNotFoundError:
            return []
        own = PurePosixPath(self._key(folder))  # some stores keep an empty object for the folder itself
        return [facts for facts in listing if PurePosixPath(facts["name"]) != own]

    def _with_size(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return fsspec's facts of a file with its size; a web server's listing has none, so the file is asked for."""
        if facts.get("size") is None:
            with self._errors(PurePosixPath(facts["name"]).name):
                facts = self._fs.info(facts["name"])
        return None if facts.get("size") is None else facts


def _info(facts: Mapping[str, Any]) -> ObjectInfo:
    size = int(facts["size"])
    token = next((str(facts[name]) for name in _TOKENS if facts.get(name)), f"{facts.get('created')}-{size}")
    return ObjectInfo(size, token)
