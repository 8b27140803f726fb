"""One run at a time on a DIR: ``DIR/.lock``, created exclusively and kept alive by a heartbeat.

A lock whose owner is gone (its process on this machine has ended, or no heartbeat came for a minute) is taken over.
On object stores the exclusive create is as strong as fsspec's conditional upload for that store; where there is
none, two runs that start in the same second can both succeed, and the loser notices at its next heartbeat.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from shards.errors import ShardError
from shards.storage.store import Store

LOCK = ".lock"
HEARTBEAT_SECONDS: Final = 5.0
"""Pause between two heartbeats."""
STALE_SECONDS: Final = 60.0
"""Age of the last heartbeat after which a lock may be taken over."""


class LockedError(ShardError):
    """Another run holds the DIR."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock, as written in it."""

    token: str
    """Unlike any other run's."""
    host: str
    pid: int
    processes: str
    """Names the set of processes in which `pid` counts: two containers may share a host name."""
    started: float
    """Seconds since the epoch."""
    beat: float
    """Time of the last heartbeat, seconds since the epoch."""

    @classmethod
    def here(cls) -> Owner:
        """This process, now."""
        now = time.time()
        return cls(uuid.uuid4().hex, socket.gethostname(), os.getpid(), _process_space(), now, now)

    def is_gone(self) -> bool:
        """Whether the owner ran among this machine's processes and has ended."""
        if (self.host, self.processes) != (socket.gethostname(), _process_space()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


class Lock:
    """Holds a DIR as long as the ``with`` block runs.

    After a takeover by another run (this process was stopped for longer than `stale_after`) `lost` is true and
    `on_lost` has been called, from the heartbeat's thread: the run should end without committing more.
    """

    def __init__(
        self,
        store: Store,
        *,
        beat_seconds: float = HEARTBEAT_SECONDS,
        stale_after: float = STALE_SECONDS,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self._store = store
        self._beat_seconds = beat_seconds
        self._stale_after = stale_after
        self._on_lost = on_lost
        self._owner = Owner.here()
        self._stop = threading.Event()
        self.lost = False

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            LockedError: another run holds it: who, since when, what to do.
            OSError: the DIR can't be written.
        """
        self._owner = replace(Owner.here(), token=self._owner.token)
        try:
            self._store.create(LOCK, _to_bytes(self._owner))
        except FileExistsError:
            self._take_over()
        self._thread = threading.Thread(target=self._keep_beating, name="lock-heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(timeout=self._beat_seconds + 10)
        if not self.lost and self._holds():
            self._store.delete(LOCK)

    def _take_over(self) -> None:
        """Replace a stale lock; of several that try, the one whose lock stands a moment later has it."""
        found = read_lock(self._store)
        if found is not None:
            if not self._is_stale(found):
                raise LockedError(_refusal(self._store, found))
            self._store.delete(LOCK)
        with suppress(FileExistsError):  # another was quicker: found out below
            self._store.create(LOCK, _to_bytes(replace(self._owner, beat=time.time())))
        time.sleep(min(0.2, self._beat_seconds))
        winner = read_lock(self._store)
        if winner is None or winner.token != self._owner.token:
            raise LockedError(_refusal(self._store, winner or self._owner))

    def _is_stale(self, found: Owner) -> bool:
        if found.is_gone():
            return True
        if time.time() - found.beat < self._stale_after:
            return False
        time.sleep(2 * self._beat_seconds)  # clocks of two machines may differ: does it beat?
        again = read_lock(self._store)
        return again is None or again == found

    def _keep_beating(self) -> None:
        while not self._stop.wait(self._beat_seconds):
            try:
                if not self._holds():
                    self.lost = True
                    if self._on_lost is not None:
                        self._on_lost()
                    return
                self._store.commit_bytes(_to_bytes(replace(self._owner, beat=time.time())), LOCK)
            except Exception:  # noqa: S112 - a full disk or a network gap: the run's own commits will say so
                continue

    def _holds(self) -> bool:
        found = read_lock(self._store)
        return found is not None and found.token == self._owner.token


def read_lock(store: Store) -> Owner | None:
    """Who holds the DIR, or none.

    Raises:
        ShardError: the lock is unreadable.
    """
    try:
        return Owner(**json.loads(store.read_bytes(LOCK)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise ShardError(f"{store.path(LOCK)}: unreadable; delete it if no run is using this folder") from None


def _refusal(store: Store, owner: Owner) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner.started))
    return (
        f"{store.root}: another run holds this folder (process {owner.pid} on {owner.host}, since {since}); "
        f"wait until it ends, or delete {store.path(LOCK)} if it no longer runs"
    )


def _to_bytes(owner: Owner) -> bytes:
    return json.dumps(asdict(owner)).encode()


def _process_space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
