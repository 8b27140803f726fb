"""Reads the bytes of videos from files or object stores, with a cache of whole tars in a folder of bounded size.

Files on a file system are read in place. From an object store, roots are read by byte range, or whole tars are
downloaded to the cache folder once for all processes of the machine. The oldest tars are removed when the folder is
full.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from runtime.errors import MachineError, UserError, is_machine_fault
from runtime.log import get_logger
from runtime.retry_limits import ABANDONED_SECONDS, CACHE_READS
from shards.errors import ShardError
from shards.storage.backend import ObjectInfo
from shards.storage.store import Store
from training.data.clip_failure import ClipFailed
from training.data.clip_tasks import MediaRef
from training.data.data_settings import DataSettings

_log = get_logger(__name__)

_BLOCK = 1 << 20
_WEB = ("http://", "https://")
_WINDOWS = 3  # in the cache at once: the next one, the current one, and the one whose last clips are being decoded


def is_remote(url: str) -> bool:
    """Return True if `url` names a file in an object store, not on a file system."""
    return "://" in url and not url.startswith("file://")


@dataclass(frozen=True)
class TarCache:
    """A folder of whole tars, shared by all processes of a machine."""

    folder: Path
    max_bytes: int

    def fetch(self, url: str) -> Path:
        """Download a file to the folder unless it is there; other processes wait for the first one that does.

        Raises:
            FileNotFoundError: there is no such file in the store.
            OSError: the store or the local disk failed.
        """
        path, size = self._target(url)
        self.folder.mkdir(parents=True, exist_ok=True)
        if _touch(path):
            return path
        with FileLock(f"{path}.lock"):
            if not _touch(path):
                self._download(url, size, path)
        return path

    def prefetch(self, url: str) -> None:
        """Fetch a file before it is needed; if the store fails, the worker that needs the file tries again.

        Raises:
            MachineError: this machine can't store it.
        """
        try:
            self.fetch(url)
        except OSError as error:
            if is_machine_fault(error):
                raise MachineError(f"{self.folder}: {error}") from None
            _log.warning("%s: not fetched in advance (%s)", url, error)

    def read(self, url: str, offset: int, size: int | None) -> bytes:
        """Read a byte range of a file in the store through the folder.

        Reading does not renew a tar's time: otherwise the tars of the next window would be removed before those of
        the finished one.

        Raises:
            OSError: as for `fetch`.
        """
        for _ in range(CACHE_READS.count):
            try:
                path = self._target(url)[0]
                return _read_local(path if path.exists() else self.fetch(url), offset, size)
            except FileNotFoundError as error:  # another process has just removed it to make room
                missing = error
        raise missing

    def bytes_held(self) -> int:
        """Return the size of all tars in the folder, bytes."""
        return sum(size for _, size, _ in self._held())

    def _target(self, url: str) -> tuple[Path, int]:
        """Return the path in the folder for a file of the store, and its size."""
        info = _object_info(url)  # the token is part of the name: a rewritten file under the same URL is another file
        name = hashlib.sha256(f"{url} {info.size} {info.token}".encode()).hexdigest()[:32]
        return self.folder / f"{name}.tar", info.size

    def _download(self, url: str, size: int, path: Path) -> None:
        store, name = store_of(url)
        with FileLock(self.folder / ".room.lock"):
            self._make_room(size)
            part = path.with_name(f".part-{uuid.uuid4().hex}")
            part.touch()
            os.truncate(part, size)  # reserves the room: other processes count this size from now on
        try:
            with store.open(name) as source, part.open("r+b") as target:
                while block := source.read(_BLOCK):
                    target.write(block)
                if target.tell() != size:
                    raise OSError(errno.EIO, f"{url}: received {target.tell()} of {size} bytes")
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
        """Return the time of the last fetch (ns), size and path of each tar, unfinished downloads included."""
        held = []
        for pattern in ("*.tar", ".part-*"):
            for path in self.folder.glob(pattern):
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                held.append((stat.st_mtime_ns, stat.st_size, path))
        return held


def open_cache(settings: DataSettings, tars: Iterable[tuple[str, int]], window: int) -> TarCache | None:
    """Return the cache that the settings name; None if they name none, or if no tar is in an object store.

    Args:
        settings: of the data.
        tars: URL and size in bytes of each tar that will be read.
        window: shards that are shuffled together.

    Raises:
        UserError: `cache_gb` is too small for the windows of shards that are needed at once.
    """
    remote = sorted((size for url, size in tars if is_remote(url)), reverse=True)
    if settings.cache is None or not remote:
        return None
    needed = sum(remote[: _WINDOWS * window])
    if needed > settings.cache_gb * 1e9:
        lower = "data.window_batches" if window > settings.window_shards else "data.window_shards"
        raise UserError(
            f"data.cache_gb={settings.cache_gb:g}: less than {_WINDOWS} windows of {window} shards, "
            f"{needed / 1e9:.3g} GB; raise it or lower {lower}"
        )
    return TarCache(settings.cache, int(settings.cache_gb * 1e9))


class MediaReader:
    """Reads the bytes that a `MediaRef` names; can be pickled into worker processes."""

    def __init__(self, cache: TarCache | None = None) -> None:
        self._cache = cache

    def read(self, media: MediaRef) -> bytes | Path:
        """Return the bytes of a video, or its path if it is a whole local file.

        Raises:
            ClipFailed: the file is missing or too short, or the store failed at every attempt.
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
        data = store.read_bytes(name, media.offset, media.size)
        if media.size is not None and len(data) > media.size:
            raise ShardError(f"{media.url}: this server sends whole files, not byte ranges of them; set data.cache")
        return data


def _object_info(url: str) -> ObjectInfo:
    """Return size and token of a file in a store."""
    folder, _, name = url.rpartition("/")
    info = _web_file_info(url) if url.startswith(_WEB) else _folder_listing(folder).get(name)
    if info is None:
        raise FileNotFoundError(f"{url}: no such file")
    return info


@lru_cache(maxsize=1 << 14)
def _web_file_info(url: str) -> ObjectInfo:
    """Request one file's size and token from a web server, which can't list a folder; once per process."""
    store, name = store_of(url)
    return store.entry(name)


@lru_cache(maxsize=64)
def _folder_listing(folder: str) -> Mapping[str, ObjectInfo]:
    """List a folder of a store; once per process."""
    return Store(folder).list()


def store_of(url: str) -> tuple[Store, str]:
    """Split a URL into the store of its folder or prefix, and the file's name there."""
    folder, _, name = url.rpartition("/")
    return Store(folder), name


def _read_local(path: Path, offset: int, size: int | None) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(-1 if size is None else size)


def _touch(path: Path) -> bool:
    """Set a file's time to now; return True if the file exists."""
    try:
        os.utime(path, ns=(time.time_ns(), time.time_ns()))
    except FileNotFoundError:
        return False
    return True
