"""Pace the downloads of all workers of one machine: the time between starts, and the number at one host.

Workers are separate processes, so the state is kept in files: a lock file for each slot at a host, and one file that
holds the time of the next start. The kernel releases the locks of a killed worker.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from runtime.models.model_uri import cache_folder

_SAME_SITE: Final = {
    "youtu.be": "youtube.com",
    "youtube-nocookie.com": "youtube.com",
    "music.youtube.com": "youtube.com",
    "player.vimeo.com": "vimeo.com",
}
_POLL_SECONDS: Final = 0.05


def pacing_folder() -> Path:
    """Return the folder of this machine's pacing files, shared by all workers of this user."""
    return cache_folder() / "pacing" / (platform.node() or "localhost")


def site_of(url: str) -> str:
    """Return the name of the site of a URL: its host, the same for all hosts of one site that are known as such."""
    host = (urlsplit(url).hostname or "").lower()
    host = host.removeprefix("www.").removeprefix("m.")
    return _SAME_SITE.get(host, host)


@contextmanager
def host_slot(host: str, folder: Path, *, interval: float, slots: int) -> Iterator[None]:
    """Wait for a slot at `host` and for the next start, and hold the slot until the block ends.

    Args:
        host: name of the site; hosts don't wait for each other.
        folder: the same folder for all workers that share the pace.
        interval: least seconds between two starts.
        slots: how many downloads may run at the host at the same time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = _file_name(host)
    with _hold_slot(folder, name, slots):
        start = _reserve_start(folder / f"{name}.next", interval)
        while (left := start - time.time()) > 0:
            time.sleep(min(left, _POLL_SECONDS))  # in steps: a thread that sleeps can't be stopped
        yield


def postpone(host: str, folder: Path, seconds: float) -> None:
    """Postpone the next start at `host` by `seconds` from now, for all workers."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{_file_name(host)}.next") as file:
        _write_time(file, max(_read_time(file), time.time() + seconds))


@contextmanager
def _hold_slot(folder: Path, name: str, slots: int) -> Iterator[None]:
    """Hold the first free slot; poll until one is free."""
    while True:
        for number in range(slots):
            file = (folder / f"{name}.{number}").open("a+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            with file:
                yield
            return
        time.sleep(_POLL_SECONDS)


def _reserve_start(path: Path, interval: float) -> float:
    """Return the next start (Unix time), and move it on by `interval` for the next worker."""
    with _locked(path) as file:
        start = max(time.time(), _read_time(file))
        _write_time(file, start + interval)
        return start


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _read_time(file: IO[str]) -> float:
    file.seek(0)
    return float(file.read() or 0.0)


def _write_time(file: IO[str], when: float) -> None:
    file.seek(0)
    file.truncate()
    file.write(repr(when))
    file.flush()


def _file_name(host: str) -> str:
    """Return a file name for a host; names of hosts come from outside and never become paths."""
    return hashlib.sha256(host.lower().encode()).hexdigest()[:16]
