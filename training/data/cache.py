"""Brings the bytes of videos to this machine: by byte range, or out of whole tars kept in a folder of bounded size.

What lies on a file system is read where it lies. Of an object store, roots are fetched by range; with a cache folder
whole tars are, once for all processes of the machine, and the least recently used go when the bound is reached.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from runtime.errors import MachineError, is_machine_fault
from runtime.log import get_logger
from shards.errors import ShardError
from shards.store import Entry, Store
from training.data.records import ClipFailed, MediaRef

T = TypeVar("T")
_log = get_logger(__name__)

_TRIES = 3
_BLOCK = 1 << 20
_ABANDONED = 3600 * 10**9  # ns without a write after which a download under way is that of a killed process


def is_remote(url: str) -> bool:
    """Whether `url` lies in an object store and not on a file system."""
    return "://" in url and not url.startswith("file://")


@dataclass(frozen=True)
class TarCache:
    """A folder of whole tars, shared by all processes of a machine."""

    folder: Path
    max_bytes: int

    def fetch(self, url: str) -> Path:
        """Bring a file to the folder, unless it is there; others wait for the first who does.

        Raises:
            FileNotFoundError: there is no such file in the store.
            OSError: the store, or this disk, fails.
        """
        entry = _entry(url)  # its token in the name: what is written anew under the same URL is another file
        name = hashlib.sha256(f"{url} {entry.size} {entry.token}".encode()).hexdigest()[:32]
        path = self.folder / f"{name}.tar"
        self.folder.mkdir(parents=True, exist_ok=True)
        if _touch(path):
            return path
        with FileLock(f"{path}.lock"):
            if not _touch(path):
                again_and_again(lambda: self._download(url, entry.size, path))
        return path

    def prefetch(self, url: str) -> None:
        """As `fetch`, ahead of need: what the store fails to give is left to the worker that will ask for it.

        Raises:
            MachineError: this machine can't hold it.
        """
        try:
            self.fetch(url)
        except OSError as error:
            if is_machine_fault(error):
                raise MachineError(f"{self.folder}: {error}") from None
            _log.warning("%s: not fetched ahead (%s)", url, error)

    def read(self, url: str, offset: int, size: int | None) -> bytes:
        """Read a span of a file in the store, through the folder.

        Raises:
            OSError: as for `fetch`.
        """
        for _ in range(_TRIES):
            try:
                return _read_local(self.fetch(url), offset, size)
            except FileNotFoundError as error:  # gone again between the two: another process needed the room
                missing = error
        raise missing

    def bytes_held(self) -> int:
        """Bytes of all tars in the folder."""
        return sum(size for _, size, _ in self._held())

    def _download(self, url: str, size: int, path: Path) -> None:
        store, name = _store_of(url)
        with FileLock(self.folder / ".room.lock"):
            self._make_room(size)
            part = path.with_name(f".part-{uuid.uuid4().hex}")
            part.touch()
            os.truncate(part, size)  # counted from now on, by whoever looks for room next
        try:
            with store.open(name) as source, part.open("r+b") as target:
                while block := source.read(_BLOCK):
                    target.write(block)
                if target.tell() != size:
                    raise OSError(errno.EIO, f"{url}: {target.tell()} of {size} bytes came")
            _touch(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        held = sorted(self._held())
        total = sum(item[1] for item in held)
        for used, freed, path in held:
            if total + size <= self.max_bytes:
                return
            if path.suffix == ".tar" or used < time.time_ns() - _ABANDONED:
                path.unlink(missing_ok=True)
                total -= freed

    def _held(self) -> list[tuple[int, int, Path]]:
        """Time of last use (ns), size and path of each tar, those under way included."""
        found = []
        for pattern in ("*.tar", ".part-*"):
            for path in self.folder.glob(pattern):
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                found.append((stat.st_mtime_ns, stat.st_size, path))
        return found


class MediaReader:
    """Reads what a `MediaRef` names; can be pickled into worker processes."""

    def __init__(self, cache: TarCache | None = None) -> None:
        self._cache = cache

    def read(self, media: MediaRef) -> bytes | Path:
        """The bytes of a video, or its path where it is a whole file of this machine.

        Raises:
            ClipFailed: the bytes are not (all) there, or the store fails again and again.
        """
        try:
            if media.size is None and not media.offset and not is_remote(media.url):
                return Path(media.url).resolve(strict=True)
            data = self._bytes(media)
        except FileNotFoundError:
            raise ClipFailed("missing", f"{media.url}: no such file") from None
        except ShardError as error:
            raise ClipFailed("unreadable", str(error)) from None
        if media.size is not None and len(data) < media.size:
            raise ClipFailed("truncated", f"{media.url}: ends before byte {media.offset + media.size}")
        return data

    def _bytes(self, media: MediaRef) -> bytes:
        if not is_remote(media.url):
            return _read_local(Path(media.url.removeprefix("file://")), media.offset, media.size)
        if self._cache is not None:
            return self._cache.read(media.url, media.offset, media.size)
        store, name = _store_of(media.url)
        return again_and_again(lambda: store.read_bytes(name, media.offset, media.size))


def again_and_again(read: Callable[[], T]) -> T:
    """What `read` gives, tried a few times: a store's passing error is none. A file that is not there stays so."""
    for attempt in range(_TRIES - 1):
        try:
            return read()
        except FileNotFoundError:
            raise
        except OSError as error:
            if is_machine_fault(error):
                raise
            time.sleep(0.5 * 2**attempt)
    return read()


def _entry(url: str) -> Entry:
    """Size and token of a file in a store."""
    folder, _, name = url.rpartition("/")
    found = _listed(folder).get(name)
    if found is None:
        raise FileNotFoundError(f"{url}: no such file")
    return found


@lru_cache(maxsize=64)
def _listed(folder: str) -> Mapping[str, Entry]:
    """A store's folder, listed once a process."""
    return again_and_again(Store(folder).list)


def _store_of(url: str) -> tuple[Store, str]:
    folder, _, name = url.rpartition("/")
    return Store(folder), name


def _read_local(path: Path, offset: int, size: int | None) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(-1 if size is None else size)


def _touch(path: Path) -> bool:
    """Note the use of a file; whether it is there."""
    try:
        os.utime(path, ns=(time.time_ns(), time.time_ns()))
    except FileNotFoundError:
        return False
    return True
