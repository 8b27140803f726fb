"""Where a DIR lies: a folder, or a prefix in an object store (any fsspec URL), behind the same few calls.

A file appears whole or not at all. In a folder it is written beside its place, flushed and renamed; in an object
store it is one whole-object upload. Names are relative to the DIR, with ``/`` between their parts. Folders on
other file systems (NFS, Lustre, a FUSE mount) are folders; URLs are meant for object stores, where an upload is
seen only when it is complete.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from shards.errors import ShardError, one_line

_LEFTOVER = ".tmp-"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}  # file systems without them
_TOKENS = (
    "ETag",
    "etag",
    "generation",
    "md5Hash",
    "content_md5",
    "LastModified",
    "Last-Modified",
    "last_modified",
    "mtime",
)  # what stores call the mark of a file's state, the best first
_READ_AHEAD = 1 << 16  # remote files are read by ranges: headers and footers, not whole files


@dataclass(frozen=True)
class Entry:
    """One file of a listing."""

    size: int
    """Bytes."""
    token: str
    """Changes whenever the file is written anew: modification time and inode on disk, ETag in an object store."""


class Store:
    """A DIR to read from and to commit to; cheap to make, safe to share between threads, can be pickled."""

    def __init__(self, root: str | Path) -> None:
        """Name a DIR by path or fsspec URL (``s3://bucket/prefix``); nothing is created or opened yet.

        Raises:
            ShardError: the URL's protocol is unknown, or the package that speaks it is not installed.
        """
        self._fs: Any = None
        text = str(root).removeprefix("file://")
        if "://" in text:
            self._fs, self._base = remote_filesystem(text)
            self.root = text.rstrip("/")
        else:
            self._base = str(Path(text).expanduser().absolute())
            self.root = self._base

    def __repr__(self) -> str:
        return f"Store({self.root!r})"

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.root,)

    @property
    def is_local(self) -> bool:
        """Whether the DIR is a folder of this machine (mounts included)."""
        return self._fs is None

    def path(self, name: str) -> str:
        """Full path or URL of `name`, to hand to other libraries.

        Raises:
            ShardError: `name` leaves the DIR or is no plain relative name.
        """
        return f"{self.root}/{_checked(name)}"

    def list(self, folder: str = "") -> dict[str, Entry]:
        """The files directly in `folder`, by one listing; ``{}`` where there is none. Dot-files are left out."""
        if self._fs is None:
            return _list_local(self._local(folder))
        files = (info for info in self._infos(folder) if info["type"] == "file")
        found = ((PurePosixPath(info["name"]).name, self._sized(info)) for info in files)
        return {name: _remote_entry(info) for name, info in found if info is not None and not name.startswith(".")}

    def entry(self, name: str) -> Entry:
        """Size and token of the file `name`.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: the store does not say how large it is.
        """
        if self._fs is None:
            return _local_entry(self._local(name).stat())
        info = self._fs.info(self._key(name))
        if info.get("size") is None:
            raise OSError(errno.EIO, f"{self.path(name)}: the server does not say how large it is")
        return _remote_entry(info)

    def folders(self, folder: str = "") -> Sequence[str]:
        """Names of the folders directly in `folder`, sorted; those that start with a dot are left out."""
        if self._fs is None:
            place = self._local(folder)
            names = [entry.name for entry in os.scandir(place) if entry.is_dir()] if place.is_dir() else []
        else:
            names = [PurePosixPath(info["name"]).name for info in self._infos(folder) if info["type"] == "directory"]
        return sorted(name for name in names if not name.startswith("."))

    def exists(self, name: str) -> bool:
        """Whether the file `name` is there."""
        if self._fs is None:
            return self._local(name).is_file()
        return bool(self._fs.isfile(self._key(name)))

    def open(self, name: str) -> BinaryIO:
        """Open `name` to read bytes; the file can be sought in.

        Raises:
            FileNotFoundError: there is no such file.
        """
        if self._fs is None:
            return self._local(name).open("rb")
        return cast(BinaryIO, self._fs.open(self._key(name), "rb", block_size=_READ_AHEAD))

    def read_bytes(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """Read `size` bytes from `offset` (to the end without `size`); fewer where the file ends before.

        Raises:
            FileNotFoundError: there is no such file.
        """
        if self._fs is None:
            with self._local(name).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if size is None else size)
        if size == 0:
            return b""
        return bytes(self._fs.cat_file(self._key(name), start=offset, end=None if size is None else offset + size))

    def commit(self, local: Path, name: str) -> None:
        """Make the finished scratch file `local` appear as `name`, replacing what was there; `local` is gone then.

        Raises:
            OSError: disk full, no permission, network: nothing half-written stays behind.
        """
        if self._fs is None:
            _commit_local(local, self._local(name))
        else:
            self._fs.put_file(str(local), self._key(name))
            local.unlink()

    def commit_bytes(self, data: bytes, name: str) -> None:
        """Make `data` appear as the file `name`, replacing what was there.

        Raises:
            OSError: as for `commit`.
        """
        if self._fs is not None:
            self._fs.pipe_file(self._key(name), data)
            return
        target = self._local(name)
        temporary = _beside(target)
        try:
            temporary.write_bytes(data)
            _publish(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def create(self, name: str, data: bytes) -> None:
        """Write `name` only where it does not exist yet: of two who try at once, one succeeds.

        On object stores this is a conditional upload where fsspec offers one, else a look before the upload.

        Raises:
            FileExistsError: the file is there.
        """
        if self._fs is not None:
            self._create_remote(name, data)
            return
        target = self._local(name)
        temporary = _beside(target)
        try:
            temporary.write_bytes(data)
            _link(temporary, target, data)
        finally:
            temporary.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Remove the file `name`; nothing happens where it is not there."""
        if self._fs is None:
            self._local(name).unlink(missing_ok=True)
        elif self.exists(name):
            self._fs.rm_file(self._key(name))

    def delete_folder(self, folder: str) -> None:
        """Remove `folder` and all in it; nothing happens where it is not there."""
        if self._fs is None:
            shutil.rmtree(self._local(folder), ignore_errors=not self._local(folder).exists())
        elif self._fs.exists(self._key(folder)):
            self._fs.rm(self._key(folder), recursive=True)

    def replace_folder(self, new: str, old: str) -> None:
        """Put the folder `new` in the place of `old`: two renames in a folder, copies in an object store."""
        if self._fs is None:
            source, target = self._local(new), self._local(old)
            retired = target.with_name(f"{_LEFTOVER}{uuid.uuid4().hex}")
            if target.exists():
                target.rename(retired)
            source.rename(target)
            _flush_folder(target.parent)
            shutil.rmtree(retired, ignore_errors=True)
            return
        self.delete_folder(old)
        for name in self.list(new):
            self._fs.mv(self._key(f"{new}/{name}"), self._key(f"{old}/{name}"))

    def sweep(self, folder: str = "") -> int:
        """Remove what killed runs left half-written in `folder`, and count it. Only for the holder of the lock."""
        if self._fs is not None or not self._local(folder).is_dir():
            return 0
        leftovers = list(self._local(folder).glob(f"{_LEFTOVER}*"))
        for path in leftovers:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return len(leftovers)

    def _local(self, name: str) -> Path:
        return Path(self._base, _checked(name)) if name else Path(self._base)

    def _key(self, name: str) -> str:
        return f"{self._base}/{_checked(name)}" if name else self._base

    def _infos(self, folder: str) -> Sequence[dict[str, Any]]:
        try:
            infos = self._fs.ls(self._key(folder), detail=True)
        except FileNotFoundError:
            return []
        own = PurePosixPath(self._key(folder))  # some stores keep an empty object for the folder itself
        return [info for info in infos if PurePosixPath(info["name"]) != own]

    def _sized(self, info: dict[str, Any]) -> dict[str, Any] | None:
        """What is known of a listed file; a web server's listing has no sizes, so each file is asked for its own."""
        if info.get("size") is None:
            info = self._fs.info(info["name"])
        return None if info.get("size") is None else info

    def _create_remote(self, name: str, data: bytes) -> None:
        if self.exists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self.path(name))
        try:
            self._fs.pipe_file(self._key(name), data, mode="create")
        except (NotImplementedError, TypeError):  # this file system has no conditional upload
            self._fs.pipe_file(self._key(name), data)


def _checked(name: str) -> str:
    parts = name.split("/")
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise ShardError(f"{name!r} is not a name inside a DIR: use plain relative names")
    return name


def remote_filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system that a URL names, and the path on it.

    Raises:
        ShardError: the URL's protocol is unknown, or what speaks it is not installed.
    """
    from fsspec.core import url_to_fs

    try:
        filesystem, base = url_to_fs(url, use_listings_cache=False)
    except (ImportError, OSError, ValueError) as error:
        raise ShardError(f"{url}: {one_line(error, keep='first')}") from None
    return filesystem, str(base).rstrip("/")


def _list_local(folder: Path) -> dict[str, Entry]:
    if not folder.is_dir():
        return {}
    result = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file() and not entry.name.startswith("."):
                result[entry.name] = _local_entry(entry.stat())
    return dict(sorted(result.items()))


def _local_entry(stat: os.stat_result) -> Entry:
    return Entry(stat.st_size, f"{stat.st_mtime_ns}-{stat.st_ino}")


def _remote_entry(info: dict[str, Any]) -> Entry:
    size = int(info["size"])
    return Entry(size, next((str(info[key]) for key in _TOKENS if info.get(key)), f"{info.get('created')}-{size}"))


def _beside(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_name(f"{_LEFTOVER}{uuid.uuid4().hex}-{target.name}")


def _link(temporary: Path, target: Path, data: bytes) -> None:
    """Give the finished file its name unless that is taken: whole or not at all, also on NFS."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with target.open("xb") as file:
            file.write(data)


def _commit_local(local: Path, target: Path) -> None:
    temporary = _beside(target)
    try:
        try:
            local.rename(temporary)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copyfile(local, temporary)
        _publish(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    local.unlink(missing_ok=True)


def _publish(temporary: Path, target: Path) -> None:
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(target)
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
