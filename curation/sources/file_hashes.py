"""SHA-256 of local files, kept between runs: a file that has not changed is read once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from runtime.log import get_logger
from runtime.retry_limits import HASH_CACHE_SECONDS
from shards.storage.files import file_sha256

_log = get_logger(__name__)

_THREADS: Final = 8


class _FileVersion(NamedTuple):
    """A file at one time; a change of size or of time of change makes another version."""

    path: str
    size: int
    mtime_ns: int


def hash_files(paths: Sequence[Path], cache: Path | None = None) -> list[str]:
    """Return the SHA-256 of each file, as 64 hex digits.

    Args:
        paths: files, absolute.
        cache: database that keeps hashes by path, size and time of change; None: every file is read. If it can't be
            used, every file is read too.

    Raises:
        OSError: a file can't be read.
    """
    stats = [path.stat() for path in paths]
    files = [_FileVersion(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in zip(paths, stats, strict=True)]
    known = _load(cache, files) if cache else {}
    unread = list(dict.fromkeys(file for file in files if file not in known))
    with ThreadPoolExecutor(_THREADS) as pool:
        fresh = dict(zip(unread, pool.map(file_sha256, (Path(file.path) for file in unread)), strict=True))
    if cache and fresh:
        _save(cache, fresh)
    known |= fresh
    return [known[file] for file in files]


def _load(cache: Path, files: Iterable[_FileVersion]) -> dict[_FileVersion, str]:
    query = "SELECT sha256 FROM files WHERE path = ? AND size = ? AND mtime_ns = ?"
    try:
        with closing(_open(cache)) as connection:
            rows = [(file, connection.execute(query, file).fetchone()) for file in files]
    except (sqlite3.Error, OSError) as error:
        _log.info("hashes of files are not kept: %s: %s", cache, error)
        return {}
    return {file: row[0] for file, row in rows if row is not None}


def _save(cache: Path, hashes: Mapping[_FileVersion, str]) -> None:
    rows = [(*file, digest) for file, digest in hashes.items()]
    try:
        with closing(_open(cache)) as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        _log.info("hashes of files are not kept: %s: %s", cache, error)


def _open(cache: Path) -> sqlite3.Connection:
    cache.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(cache, timeout=HASH_CACHE_SECONDS.seconds)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT)"
    )
    return connection
