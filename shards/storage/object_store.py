"""A DIR in an object store, or whatever else fsspec speaks to: a file is one whole-object upload.

Every call goes through `ObjectStore._ask`, which waits out failures that may pass. Files are read through `read_bytes`
only, `RangedFile` included.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, TypeVar, cast

from shards.storage.backend import ObjectInfo
from shards.storage.folder_swap import complete_swaps, swap_folders
from shards.storage.patience import with_patience
from shards.storage.ranged_file import FIRST_BLOCK, RangedFile
from shards.storage.remote_filesystem import is_s3, is_web, remote_filesystem
from shards.storage.storage_errors import StorageError, clear_errors, status_of

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

T = TypeVar("T")


class ObjectStore:
    """The `Backend` of an fsspec URL; a failure that is not "not found" is a `StorageError`."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet.

        Raises:
            ShardError: as `remote_filesystem`.
        """
        self._fs, self._base = remote_filesystem(url)
        self.root = url.rstrip("/")

    def list(self, folder: str, prefix: str) -> dict[str, ObjectInfo]:
        """Return the files directly in `folder` by name; files of unknown size are left out."""
        facts = (self._with_size(facts) for facts in self._listing(folder, prefix) if facts["type"] == "file")
        named = ((PurePosixPath(known["name"]).name, known) for known in facts if known is not None)
        return {name: _info(known) for name, known in named if name.startswith(prefix) and not name.startswith(".")}

    def info(self, name: str) -> ObjectInfo:
        """Return size and token of a file.

        Raises:
            OSError: the server does not report the size.
        """
        facts = self._ask(name, lambda: self._fs.info(self._key(name)))
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
        if not is_s3(self.root):
            facts = self._facts(name)
            return facts is not None and facts["type"] == "file"
        bucket, key, _ = self._fs.split_path(self._key(name))
        try:  # s3fs would also look for a folder of that name
            self._ask(name, lambda: self._fs.call_s3("head_object", Bucket=bucket, Key=key))
        except FileNotFoundError:
            return False
        return True

    def open(self, name: str) -> BinaryIO:
        """Open a file to read by ranges; a web server that sends none of them streams the file instead."""
        if is_web(self.root):
            return self._ask(name, lambda: cast(BinaryIO, self._fs.open(self._key(name), block_size=FIRST_BLOCK)))
        read = partial(self.read_bytes, name)
        return cast(BinaryIO, RangedFile(read, self.info(name).size))

    def read_bytes(self, name: str, offset: int, size: int | None) -> bytes:
        """Read a range of a file with one request."""
        if size == 0:
            return b""
        end = None if size is None else offset + size
        try:
            return self._ask(name, lambda: bytes(self._fs.cat_file(self._key(name), start=offset, end=end)))
        except StorageError as error:
            if status_of(error) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # it begins behind the end
                return b""
            raise

    def download(self, name: str, target: Path) -> None:
        """Copy a file to a local path."""
        self._ask(name, lambda: self._fs.get_file(self._key(name), str(target)))

    def commit(self, local: Path, name: str) -> None:
        """Upload a scratch file whole (in parts if it is large), compare sizes, then remove it."""
        size = local.stat().st_size

        def upload() -> None:
            self._fs.put_file(str(local), self._key(name))
            self._compare_size(name, size)

        self._ask(name, upload, writes=True)
        local.unlink()

    def commit_bytes(self, data: bytes, name: str) -> None:
        """Upload a file whole."""
        self._ask(name, lambda: self._fs.pipe_file(self._key(name), data), writes=True)

    def create(self, name: str, data: bytes) -> str:
        """Upload a file that does not exist yet, conditionally if the store can; return its token.

        An upload whose answer was lost is repeated and meets itself, so data that is there already counts as written.
        """
        if self.exists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self._url(name))
        try:
            answer = self._ask(name, lambda: self._put_new(name, data), writes=True)
        except FileExistsError:
            if self.read_bytes(name, 0, None) != data:
                raise
            answer = None
        return self._token(name, answer)

    def replace(self, name: str, data: bytes, token: str) -> str:
        """Upload a file in the place of the one with `token`; return its new token."""
        if is_s3(self.root):
            return self._token(name, self._ask(name, lambda: self._fs.pipe_file(self._key(name), data, IfMatch=token)))
        if self.info(name).token != token:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self._url(name))
        self.commit_bytes(data, name)
        return self.info(name).token

    def copy(self, source: str, target: str) -> None:
        """Copy a file within the store."""
        self._ask(target, lambda: self._fs.cp_file(self._key(source), self._key(target)), writes=True)

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        if self.exists(name):
            with suppress(FileNotFoundError):  # of an attempt whose answer was lost
                self._ask(name, lambda: self._fs.rm_file(self._key(name)))

    def delete_folder(self, folder: str) -> None:
        """Remove all objects below a prefix; S3 may refuse some of a list without an error, so a look follows."""
        if self._facts(folder) is None:
            return
        key = self._key(folder)

        def remove() -> None:
            self._fs.rm(key, recursive=True)
            if self._fs.find(key):
                raise StorageError(self._url(folder), "the store removed only a part of it; try again", may_pass=True)

        with suppress(FileNotFoundError):
            self._ask(folder, remove)

    def replace_folder(self, new: str, old: str) -> None:
        """Put one folder in the place of another by copies."""
        swap_folders(self, new, old)

    def mend_folders(self, folder: str) -> None:
        """Complete the replacements that were interrupted."""
        complete_swaps(self, folder)

    def sweep(self, folder: str) -> int:
        """Abort and count the uploads in parts that killed runs left in S3, where parts are paid for until then.

        Other stores drop them after some days. A user who may not list uploads keeps the parts.
        """
        if not is_s3(self.root):
            return 0
        bucket, prefix, _ = self._fs.split_path(f"{self._key(folder)}/")
        try:
            listing = self._ask(
                folder, lambda: self._fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
            )
        except (FileNotFoundError, StorageError):
            return 0
        keys = [(upload["Key"], upload["UploadId"]) for upload in listing.get("Uploads", [])]
        left = [(key, upload) for key, upload in keys if PurePosixPath(key).parent == PurePosixPath(prefix)]
        for key, upload in left:
            with suppress(FileNotFoundError):
                self._ask(folder, partial(self._fs.abort_mpu, bucket, key, upload))
        return len(left)

    def _put_new(self, name: str, data: bytes) -> object:
        try:
            return self._fs.pipe_file(self._key(name), data, mode="create")
        except (NotImplementedError, TypeError):  # this file system has no conditional upload
            return self._fs.pipe_file(self._key(name), data)

    def _compare_size(self, name: str, size: int) -> None:
        """Refuse an upload that did not arrive whole.

        Raises:
            StorageError: the store reports another size.
        """
        stored = self._fs.info(self._key(name)).get("size")
        if stored != size:
            reason = f"{stored} bytes arrived of an upload of {size}; try again"
            raise StorageError(self._url(name), reason, may_pass=True)

    def _token(self, name: str, answer: object) -> str:
        """Return the token of a file from the store's answer to its upload, or by a question."""
        etag = answer.get("ETag") if isinstance(answer, Mapping) else None
        return self.info(name).token if etag is None else str(etag)

    def _key(self, name: str) -> str:
        return f"{self._base}/{name}" if name else self._base

    def _url(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _ask(self, name: str, call: Callable[[], T], *, writes: bool = False) -> T:
        """Return what a call to the store returns; its failures are waited out, or reported clearly."""

        def attempt() -> T:
            with clear_errors(self._url(name), writes=writes):
                return call()

        return with_patience(attempt)

    def _facts(self, name: str) -> Mapping[str, Any] | None:
        """Return fsspec's facts of a file or folder; None if it is not there."""
        try:
            facts: Mapping[str, Any] = self._ask(name, lambda: self._fs.info(self._key(name)))
        except FileNotFoundError:
            return None
        return facts

    def _listing(self, folder: str, prefix: str = "") -> Sequence[Mapping[str, Any]]:
        """Return fsspec's facts of everything directly in `folder`; S3 is asked for what begins with `prefix` only."""
        key = self._key(folder)
        try:
            if prefix and is_s3(self.root):
                found = self._ask(folder, lambda: self._fs.find(key, maxdepth=1, prefix=prefix, detail=True))
                return list(found.values())
            listing = self._ask(folder, lambda: self._fs.ls(key, detail=True))
        except FileNotFoundError:
            return []
        own = PurePosixPath(key)  # some stores keep an empty object for the folder itself
        return [facts for facts in listing if PurePosixPath(facts["name"]) != own]

    def _with_size(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return fsspec's facts of a file with its size; a web server's listing has none, so the file is asked for."""
        if facts.get("size") is None:
            path = facts["name"]
            facts = self._ask(PurePosixPath(path).name, lambda: self._fs.info(path))
        return None if facts.get("size") is None else facts


def _info(facts: Mapping[str, Any]) -> ObjectInfo:
    size = int(facts["size"])
    token = next((str(facts[name]) for name in _TOKENS if facts.get(name)), f"{facts.get('created')}-{size}")
    return ObjectInfo(size, token)
