"""The pacer of one machine: the state of all sites in a file that all workers and all runs of a user share.

The pacer of a cluster (`curation.media.download.politeness.pacer_actor`) is this one on a single node. Times are those
of the monotonic clock, which a change of the date does not move; a state from before a restart of the machine is
dropped.
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from pydantic import ValidationError

from curation.media.download.politeness.pace_limits import Answer, PaceLimits, VisitEnd, Visitor
from curation.media.download.politeness.pacing_rules import Pacing
from curation.media.download.politeness.pacing_state import PacingState
from runtime.models.model_uri import cache_folder

_STATE: Final = "sites.json"


class SitePacer(Protocol):
    """Grants slots at sites. Calls may come from several threads."""

    def ask(self, visitor: Visitor) -> Answer:
        """Return a slot at a site, or how long to wait, or that the site is not asked at present."""

    def end(self, visitor: Visitor, end: VisitEnd) -> str | None:
        """Free a slot; return one line if its end opened a circuit."""

    def beat(self, visitors: Sequence[tuple[Visitor, int]]) -> None:
        """Renew slots, each with its access."""


def pacing_folder() -> Path:
    """Return the folder of this machine's pacing state, shared by all workers of this user."""
    return cache_folder() / "pacing" / node_name()


def node_name() -> str:
    """Return the name of this machine."""
    return platform.node() or "localhost"


class FilePacer:
    """A `SitePacer` over a file; a lock of the kernel orders its users, and goes with a process that is killed.

    Args:
        folder: the same for all workers that share the pace.
        limits: what the run allows itself.
        run: id of the run.
    """

    def __init__(self, folder: Path, limits: PaceLimits, run: str = "") -> None:
        self._folder = folder
        self._limits = limits
        self._run = run

    def ask(self, visitor: Visitor) -> Answer:
        """Ask for a slot; see `SitePacer`."""
        with self._pacing() as pacing:
            return pacing.ask(visitor, time.monotonic())

    def end(self, visitor: Visitor, end: VisitEnd) -> str | None:
        """End a visit; see `SitePacer`."""
        with self._pacing() as pacing:
            return pacing.end(visitor, end, time.monotonic())

    def beat(self, visitors: Sequence[tuple[Visitor, int]]) -> None:
        """Renew slots; see `SitePacer`."""
        if not visitors:
            return
        with self._pacing() as pacing:
            pacing.beat(visitors, time.monotonic())

    def hold(self, seconds: float) -> None:
        """Grant nothing for so long: the holders of slots may not be known."""
        with self._locked() as state:
            state.not_before = max(state.not_before, time.monotonic() + seconds)

    @contextmanager
    def _pacing(self) -> Iterator[Pacing]:
        with self._locked() as state:
            pacing = Pacing(self._limits, state, self._run, _may_be_alive)
            yield pacing
            pacing.forget_idle(time.monotonic())

    @contextmanager
    def _locked(self) -> Iterator[PacingState]:
        """Read the state, and write it after the block."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = _read(self._folder / _STATE)
            yield state
            state.saved = time.monotonic()
            new = self._folder / f"{_STATE}.new"  # written by one at a time; not flushed to disk: it may be lost
            new.write_text(state.model_dump_json(), encoding="utf-8")
            new.replace(self._folder / _STATE)


def _read(path: Path) -> PacingState:
    """Return the state in a file; a new one if the file is missing, damaged, or older than the last reboot."""
    try:
        state = PacingState.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return PacingState()
    return state if state.saved <= time.monotonic() else PacingState()


def _may_be_alive(lease: str) -> bool:
    """Return False if a lease is of a process of this machine that has ended."""
    node, _, rest = lease.rpartition(":")[0].rpartition(":")
    if node != node_name() or not rest.isdigit():
        return True
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
