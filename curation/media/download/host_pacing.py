"""Turns at a site: how often, and how many at a time, the workers of one machine may start on the same host.

Workers are separate processes, so the state lies in files: a lock file for each place at a host, and one that
holds the time of the next start. Locks are the kernel's: a killed worker leaves none behind.
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

from runtime.models.model_uri import cache_folder

_POLL_SECONDS: Final = 0.05


def pacing_folder() -> Path:
    """Where this machine's turns are kept: one folder for all workers of this user."""
    return cache_folder() / "pacing" / (platform.node() or "localhost")


@contextmanager
def turn(host: str, folder: Path, *, interval: float, places: int) -> Iterator[None]:
    """Wait until it is our turn at `host`, and hold one of its places until the block ends.

    Args:
        host: name of the site; hosts don't wait for each other.
        folder: the same for all workers that share the pace.
        interval: seconds between two starts, at least.
        places: how many may be at the host at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = _name(host)
    with _place(folder, name, places):
        start = _reserve(folder / f"{name}.next", interval)
        while (left := start - time.time()) > 0:
            time.sleep(left)
        yield


def postpone(host: str, folder: Path, seconds: float) -> None:
    """Let nobody start at `host` for `seconds`: it has asked for patience."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{_name(host)}.next") as file:
        _write(file, max(_read(file), time.time() + seconds))


@contextmanager
def _place(folder: Path, name: str, places: int) -> Iterator[None]:
    """Hold the first place that is free, polling while none is."""
    while True:
        for number in range(places):
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


def _reserve(path: Path, interval: float) -> float:
    """Take the next start (Unix time) and move it on by `interval` for whoever comes after."""
    with _locked(path) as file:
        start = max(time.time(), _read(file))
        _write(file, start + interval)
        return start


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _read(file: IO[str]) -> float:
    file.seek(0)
    return float(file.read() or 0.0)


def _write(file: IO[str], when: float) -> None:
    file.seek(0)
    file.truncate()
    file.write(repr(when))
    file.flush()


def _name(host: str) -> str:
    """A file name for a host: hosts come from outside and never become paths."""
    return hashlib.sha256(host.lower().encode()).hexdigest()[:16]
