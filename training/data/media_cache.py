"""Brings the bytes of videos to this machine: by byte range, or out of whole tars kept in a folder of bounded size.

What lies on a file system is read where it lies. Of an object store, roots are fetched by range; with a cache folder
whole tars are, once for all processes of the machine, and those that were fetched first go when the bound is reached.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from runtime.errors import MachineError, UserError, is_machine_fault
from runtime.failures import ABANDONED_SECONDS, STORE_BACKOFF, STORE_READS
from runtime.log import get_logger
from runtime.retries import with_retries
from shards.errors import ShardError
from shards.storage.backend import ObjectInfo
from shards.storage.store import Store
from training.data.clip_failure import ClipFailed
from training.data.clip_tasks import MediaRef
from training.data.data_settings import DataSettings

T = TypeVar("T")
_log = get_logger(__name__)

_BLOCK = 1 << 20
_WEB = ("http://", "https://")
_WINDOWS = 3  # that the cache holds: the one to come, the one in use, and the one whose last clips are being decoded


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
        path, size = self._place(url)
        self.folder.mkdir(parents=True, exist_ok=True)
        if _touch(path):
            return path
        with FileLock(f"{path}.lock"):
            if not _touch(path):
                read_with_retries(lambda: self._download(url, size, path))
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

        It is no use that makes a tar stay: those of the window to come would go before those of the one that ends.

        Raises:
            OSError: as for `fetch`.
        """
        for _ in range(STORE_READS.count):
            try:
                path = self._place(url)[0]
                return _read_local(path if path.exists() else self.fetch(url), offset, size)
            except FileNotFoundError as error:  # gone again between the two: another process needed the room
                missing = error
        raise missing

    def bytes_held(self) -> int:
        """Bytes of all tars in the folder."""
        return sum(size for _, size, _ in self._held())

    def _place(self, url: str) -> tuple[Path, int]:
        """Where a file of the store lies in the folder, or would, and its size."""
        entry = _entry(url)  # its token in the name: what is written anew under the same URL is another file
        name = hashlib.sha256(f"{url} {entry.size} {entry.token}".encode()).hexdigest()[:32]
        return self.folder / f"{name}.tar", entry.size

    def _download(self, url: str, size: int, path: Path) -> None:
        store, name = store_of(url)
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
            if path.suffix == ".tar" or used < time.time_ns() - 1e9 * ABANDONED_SECONDS.seconds:
                path.unlink(missing_ok=True)
                total -= freed

    def _held(self) -> list[tuple[int, int, Path]]:
        """When it was last fetched or asked for (ns), size and path of each tar, those under way included."""
        found = []
        for pattern in ("*.tar", ".part-*"):
            for path in self.folder.glob(pattern):
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                found.append((stat.st_mtime_ns, stat.st_size, path))
        return found


def cache_of(settings: DataSettings, tars: Iterable[tuple[str, int]]) -> TarCache | None:
    """The cache that the settings ask for; None where they don't, or where no tar lies in an object store.

    Args:
        settings: of the data path.
        tars: URL and bytes of each tar that will be read.

    Raises:
        UserError: its bound is too small for the windows of shards that are needed at once.
    """
    remote = sorted((size for url, size in tars if is_remote(url)), reverse=True)
    if settings.cache is None or not remote:
        return None
    needed = sum(remote[: _WINDOWS * settings.window_shards])
    if needed > settings.cache_gb * 1e9:
        raise UserError(
            f"data.cache_gb={settings.cache_gb:g}: less than {_WINDOWS} windows of {settings.window_shards} shards, "
            f"{needed / 1e9:.3g} GB; raise it or lower data.window_shards"
        )
    return TarCache(settings.cache, int(settings.cache_gb * 1e9))


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
        store, name = store_of(media.url)
        data = read_with_retries(lambda: store.read_bytes(name, media.offset, media.size))
        if media.size is not None and len(data) > media.size:
            raise ShardError(f"{media.url}: this server gives whole files and no parts of them; set data.cache")
        return data


def read_with_retries(read: Callable[[], T]) -> T:
    """Return what `read` returns; a passing error of the store is retried, a missing file and a machine fault are not.

    Raises:
        OSError: the store failed at every attempt, or at once for good.
    """
    return with_retries(read, STORE_READS, STORE_BACKOFF, passes=_passes)


def _passes(error: Exception) -> bool:
    """Return True if `error` may be gone at the next attempt."""
    return isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and not is_machine_fault(error)


def _entry(url: str) -> ObjectInfo:
    """Size and token of a file in a store."""
    folder, _, name = url.rpartition("/")
    found = _asked(url) if url.startswith(_WEB) else _listed(folder).get(name)
    if found is None:
        raise FileNotFoundError(f"{url}: no such file")
    return found


@lru_cache(maxsize=1 << 14)
def _asked(url: str) -> ObjectInfo:
    """One file of a web server, which has no listing worth the name; asked for once a process."""
    store, name = store_of(url)
    return read_with_retries(lambda: store.entry(name))


@lru_cache(maxsize=64)
def _listed(folder: str) -> Mapping[str, ObjectInfo]:
    """A store's folder, listed once a process."""
    return read_with_retries(Store(folder).list)


def store_of(url: str) -> tuple[Store, str]:
    """The folder or prefix that a file lies in, and its name there."""
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
