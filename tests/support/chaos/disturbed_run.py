"""A run of `curate` that is struck by faults at random, and started again until it has done everything.

Faults are spread over the *progress* of the run (committed artifacts of those expected), so that a plan fits a machine
of any speed, and drawn from a seed. A fault is the SIGKILL of a process of the run, or an act such as the end of the
language model's server.
"""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
from support.chaos.chaos_log import ChaosLog
from support.chaos.victims import Part, Victims, command_of
from support.dir_contents import Snapshot, snapshot
from support.processes import below, still_running

from shards.storage.dir_lock import read_lock
from shards.storage.store import Store

_LAST_FAULT: Final = 0.8
"""Share of the work after which no fault is planned: at the end there may be no victim left."""
_ENDS_THE_RUN: Final = {"raylet", "gcs", "command", "driver", "ctrl-c", "sigterm"}
_LOOK_SECONDS: Final = 0.1
_MOST_RUNS: Final = 60
_WAIT_SECONDS: Final = 900.0
"""A run without any progress for so long hangs."""

Act = Callable[[subprocess.Popen[bytes]], str | None]
"""Does harm to a run other than killing a process of it; returns a description, or None if it can't be done now."""


@dataclass(frozen=True)
class PlannedFault:
    """A part to strike once a share of the work is done."""

    part: Part | str
    at: float


def planned(chance: random.Random, parts: Sequence[Part | str]) -> list[PlannedFault]:
    """Spread faults over the run in random order."""
    order = chance.sample(list(parts), len(parts))
    times = sorted(chance.uniform(0.02, _LAST_FAULT) for _ in parts)
    return [PlannedFault(part, at) for part, at in zip(order, times, strict=True)]


@dataclass(frozen=True)
class Ending:
    """The end of one run."""

    status: int
    said: str
    struck: tuple[str, ...]
    """Parts that were struck while it ran."""
    left_running: tuple[str, ...]
    seconds: float
    """From the last fault, or the start, to the end."""
    committed: Snapshot
    """Files of a local DIR; empty for another."""
    top: tuple[str, ...]
    """Names at the top of a local DIR."""
    lock_is_its_own: bool
    """True if the lock that is left names the process of this run."""

    @property
    def last_line(self) -> str:
        """The line that the command ended with."""
        return (self.said.rstrip("\n").splitlines() or [""])[-1]


@dataclass
class DisturbedRun:
    """The runs over one DIR, one after another, until one has done everything."""

    start: Callable[[Path], subprocess.Popen[bytes]]
    """Starts the command; its output goes to the path."""
    folder: Path
    """Keeps the output of each run."""
    store: Store
    victims: Victims
    progress: Callable[[], float]
    """Share of the artifacts that are committed."""
    faults: list[PlannedFault]
    chance: random.Random
    log: ChaosLog
    acts: Mapping[str, Act] = field(default_factory=dict)
    may_start: Callable[[], bool] = lambda: True
    """True if what the command checks before it begins is there."""
    before_start: Callable[[], None] = lambda: None
    """Called before each run."""
    at_end: Callable[[int], None] = lambda status: None
    """Called after each run with its exit status."""
    on_ray: bool = True
    """False for runs in the command's own process, which have no workers to wait for."""
    endings: list[Ending] = field(default_factory=list)
    ray_folders: set[str] = field(default_factory=set)
    """Folders of in-process Rays that were seen."""
    _seen: dict[int, psutil.Process] = field(default_factory=dict)
    _struck: list[str] = field(default_factory=list)
    _struck_at: float = 0.0
    _not_before: float = 0.0

    def finish(self) -> None:
        """Run, strike, and run again until the command ends with status 0."""
        for number in range(_MOST_RUNS):
            self.before_start()
            _wait(self.may_start)
            ending = self._run(self.folder / f"said-{number}")
            self.endings.append(ending)
            self.log.say(f"end of run {number}: status {ending.status}, {ending.last_line}")
            if ending.status == 0:
                break
        self.log.say(f"{self.log.summary()} in {len(self.endings)} runs")

    def _run(self, said: Path) -> Ending:
        self._seen, self._struck, self._struck_at = {}, [], time.monotonic()
        process = self.start(said)
        try:
            self._follow(process)
        finally:
            process.kill()
            process.wait()
        seconds = time.monotonic() - self._struck_at
        left = still_running(self._seen.values())
        folder = Path(self.store.root) if self.store.is_local else None
        lock = read_lock(self.store)
        self.at_end(process.returncode)
        return Ending(
            process.returncode,
            said.read_text("utf-8", "replace"),
            tuple(self._struck),
            tuple(left),
            seconds,
            snapshot(folder) if folder else {},
            tuple(sorted(path.name for path in folder.iterdir())) if folder else (),
            lock is not None and lock.pid == process.pid,
        )

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        done, since = self.progress(), time.monotonic()
        while process.poll() is None:
            self._look(process.pid)
            if (now_done := self.progress()) != done:
                done, since = now_done, time.monotonic()
            assert time.monotonic() - since < _WAIT_SECONDS, f"no progress from {done:.0%} on"
            ends = _ENDS_THE_RUN.intersection(self._struck)
            if self.faults and not ends and done >= self.faults[0].at and time.monotonic() >= self._not_before:
                self._strike(process, done)
            time.sleep(_LOOK_SECONDS)

    def _look(self, pid: int) -> None:
        """Note the processes of the run, to ask later whether they have ended, and the folders of its Ray."""
        for process in below(pid):
            if process.pid not in self._seen:
                self._seen[process.pid] = process
            if folder := re.search(r"--log_dir=(/tmp/cg-[^/]+)", command_of(process)):
                self.ray_folders.add(folder[1])

    def _strike(self, process: subprocess.Popen[bytes], done: float) -> None:
        """Carry out the next fault, if the run is at work and the victim is there."""
        part = self.faults[0].part
        if self.on_ray and not self.victims.of("worker"):
            return
        self._struck_at = time.monotonic()
        what = self.acts[part](process) if part in self.acts else self._kill(part, process)
        if what is None:
            return
        self.faults.pop(0)
        self._struck.append(part)
        self._not_before = time.monotonic() + self.chance.uniform(0.2, 2.0)
        self.log.fault(part, f"{what} at {done:.0%}")

    def _kill(self, part: Part | str, process: subprocess.Popen[bytes]) -> str | None:
        """Kill a process that plays the part; return its description, or None if there is none now."""
        if part == "command":
            process.kill()
            return f"process {process.pid}"
        found = self.victims.of(part)  # type: ignore[arg-type]
        if not found or (part == "worker" and self.victims.has_suspect()):
            return None
        victim = self.chance.choice(found)
        title = command_of(victim)[:60]
        with suppress(psutil.NoSuchProcess):
            victim.kill()
            return f"process {victim.pid} ({title})"
        return None


def _wait(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while not happened():
        assert time.monotonic() < end, "what the command needs did not come back"
        time.sleep(_LOOK_SECONDS)
