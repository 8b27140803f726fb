"""The lock of a DIR, ``DIR/.lock``: created exclusively and kept alive by a heartbeat, for one run at a time.

A lock is taken over if its owner's process on this machine has ended, or no heartbeat came for a minute. On S3 the
create, the take-over and each heartbeat are conditional uploads, so that of two runs one loses for sure. Elsewhere two
runs that start in the same moment can both succeed, and the loser notices at its next heartbeat.
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
class LockOwner:
    """The owner of a lock, as written in the file."""

    token: str
    """Unique for each run."""
    host: str
    pid: int
    processes: str
    """Name of the process-id namespace of `pid`: two containers may share a host name."""
    started: float
    """Seconds since the epoch."""
    beat: float
    """Time of the last heartbeat, seconds since the epoch."""

    @classmethod
    def here(cls) -> LockOwner:
        """Return this process as an owner that starts now."""
        now = time.time()
        return cls(uuid.uuid4().hex, socket.gethostname(), os.getpid(), _process_space(), now, now)

    def is_gone(self) -> bool:
        """Return True if the owner was a process of this machine and has ended."""
        if (self.host, self.processes) != (socket.gethostname(), _process_space()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


class DirLock:
    """A lock on a DIR for the length of a ``with`` block.

    If another run takes it over (because this process was stopped for longer than `stale_after` seconds), `lost`
    becomes True and the heartbeat's thread calls `on_lost`: the run should end without committing more.
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
        self._owner = LockOwner.here()
        self._stop = threading.Event()
        self.lost = False

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            LockedError: another run holds it; the message names the run, its start and the remedy.
            OSError: the DIR can't be written.
        """
        self._owner = replace(LockOwner.here(), token=self._owner.token)
        try:
            self._token = self._store.create(LOCK, _to_bytes(self._owner))
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
        """Replace a stale lock; of several runs that try, the one whose lock is there a moment later has it.

        The token is read before the lock: a lock that was changed in between is not replaced.
        """
        mine = _to_bytes(replace(self._owner, beat=time.time()))
        try:
            token = self._store.entry(LOCK).token
            found = read_lock(self._store)
            if found is not None and not self._is_stale(found):
                raise LockedError(_refusal(self._store, found))
            self._store.replace(LOCK, mine, token)
        except FileNotFoundError:  # its owner has just ended
            with suppress(FileExistsError):
                self._store.create(LOCK, mine)
        except FileExistsError:  # another run was faster, or the answer to our own upload was lost
            pass
        time.sleep(min(0.2, self._beat_seconds))
        held = self._held_token()
        if held is None:
            raise LockedError(_refusal(self._store, read_lock(self._store) or self._owner))
        self._token = held

    def _is_stale(self, found: LockOwner) -> bool:
        if found.is_gone():
            return True
        if 0 <= time.time() - found.beat < self._stale_after:
            return False
        time.sleep(2 * self._beat_seconds)  # clocks of two machines may differ, or jump, so wait for a heartbeat
        again = read_lock(self._store)
        return again is None or again == found

    def _keep_beating(self) -> None:
        while not self._stop.wait(self._beat_seconds):
            try:
                self._beat()
            except (FileExistsError, FileNotFoundError):
                self.lost = True
                if self._on_lost is not None:
                    self._on_lost()
                return
            except Exception:  # noqa: S112 - a full disk or a network gap: the run's own commits will say so
                continue

    def _beat(self) -> None:
        """Write the time into the lock.

        Raises:
            FileExistsError: another run has it.
            FileNotFoundError: it was deleted.
        """
        beat = _to_bytes(replace(self._owner, beat=time.time()))
        try:
            self._token = self._store.replace(LOCK, beat, self._token)
        except FileExistsError:  # perhaps by an earlier heartbeat whose answer was lost
            held = self._held_token()
            if held is None:
                raise
            self._token = held

    def _held_token(self) -> str | None:
        """Return the token of the lock if it is this run's; read before the lock, so that it is never another's."""
        try:
            token = self._store.entry(LOCK).token
        except FileNotFoundError:
            return None
        return token if self._holds() else None

    def _holds(self) -> bool:
        found = read_lock(self._store)
        return found is not None and found.token == self._owner.token


def read_lock(store: Store) -> LockOwner | None:
    """Return the owner of a DIR's lock; None if it is not locked.

    Raises:
        ShardError: the lock is unreadable.
    """
    try:
        return LockOwner(**json.loads(store.read_bytes(LOCK)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise ShardError(f"{store.path(LOCK)}: unreadable; delete it if no run is using this folder") from None


def _refusal(store: Store, owner: LockOwner) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner.started))
    return (
        f"{store.root}: another run holds this folder (process {owner.pid} on {owner.host}, since {since}); "
        f"wait until it ends, or delete {store.path(LOCK)} if it no longer runs"
    )


def _to_bytes(owner: LockOwner) -> bytes:
    return json.dumps(asdict(owner)).encode()


def _process_space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
