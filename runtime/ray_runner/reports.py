"""What the processes of a run report: finished shards, heartbeats, and the failure of one that could not be built.

The records are small and plain, because they travel through Ray. The runner without Ray uses the same ones.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Literal

from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.ray_runner.table_stage import describe_row
from runtime.ray_runner.telemetry.work_span import WorkSpan

HEARTBEAT_SECONDS: Final = 2.0
"""Pause between two heartbeats of a process, unless there are hundreds of them."""

Counts = dict[str, float]


@dataclass(frozen=True)
class FinishedShard:
    """One shard that left one stage; the table of a table stage counts as one shard."""

    stage: str
    shard: int
    counts: Counts
    fatal: str | None = None
    trace: str | None = None
    """Traceback of an unexpected exception, for the log."""
    blame: Literal["user", "machine"] = "machine"
    """The side that has to act on `fatal`."""
    span: WorkSpan | None = None
    """The time that it took; None if the worker raised."""


@dataclass(frozen=True)
class Heartbeat:
    """One process's state: its seconds with and without work, and figures of the shards in its hands."""

    pool: str
    worker: str
    busy: float
    idle: float
    live: Mapping[int, Counts] = field(default_factory=dict)
    waiting: float = 0.0
    """Seconds in which at least one call waited for a free place; 0 for a stage."""


class BuildFailure(Exception):
    """A worker or a service could not be built; crosses from its process to the driver.

    Args:
        message: one line.
        blame: the side that has to act.
    """

    def __init__(self, message: str, blame: Literal["user", "machine"], trace: str | None = None) -> None:
        super().__init__(message, blame, trace)
        self.message = message
        self.blame = blame
        self.trace = trace

    def as_error(self) -> UserError | MachineError:
        """Return the error that ends the run."""
        return UserError(self.message) if self.blame == "user" else MachineError(self.message)


def failure_of(what: str, error: BaseException) -> BuildFailure:
    """Return one line for an error while `what` was built, and the side that has to act."""
    if isinstance(error, UserError):
        return BuildFailure(str(error), "user")
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, MachineError):
        return BuildFailure(str(error), "machine", trace)
    kind = "this machine can't go on" if is_machine_fault(error) else "can't be started"
    return BuildFailure(f"{what}: {kind} ({one_line(error, keep='last', named=True)})", "machine", trace)


def failed_shard(stage: str, shard: int, error: BaseException) -> FinishedShard:
    """Return the result of a shard at which the worker raised: always fatal, because bad data never raises."""
    where = describe_row(stage, shard)
    if isinstance(error, UserError):
        return FinishedShard(stage, shard, {}, str(error), blame="user")
    if isinstance(error, MachineError):
        return FinishedShard(stage, shard, {}, f"{where}: {error}")
    trace = "".join(traceback.format_exception(error))
    kind = "this machine can't go on" if is_machine_fault(error) else "unexpected"
    line = f"{where}: {kind} ({one_line(error, keep='last', named=True)})"
    return FinishedShard(stage, shard, {}, line, trace)


def add_counts(live: Counts, counts: Mapping[str, float]) -> None:
    """Add `counts` to `live` in place."""
    for name, value in counts.items():
        live[name] = live.get(name, 0.0) + value


class BusyClock:
    """Counts the seconds with at least one task at work, and the seconds with none. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tasks = 0
        self._since = time.monotonic()
        self._busy = 0.0
        self._idle = 0.0

    def __enter__(self) -> None:
        self._count(+1)

    def __exit__(self, *exc_info: object) -> None:
        self._count(-1)

    def read(self) -> tuple[float, float]:
        """Return the busy and the idle seconds until now."""
        self._count(0)
        return self._busy, self._idle

    def _count(self, change: int) -> None:
        with self._lock:
            now = time.monotonic()
            if self._tasks:
                self._busy += now - self._since
            else:
                self._idle += now - self._since
            self._since = now
            self._tasks += change
