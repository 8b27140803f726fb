"""The live view and the log of a run: a table that redraws itself on a terminal, a line every ten seconds elsewhere.

The same figures go to a file of JSON lines. The runner holds a `RunDisplay`. It draws on standard error, so that
standard output stays free for a command's results.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from runtime.ray_runner.display.progress import Figures, PoolFigures
from runtime.ray_runner.telemetry.shard_trace import ShardTrace

PLAIN_SECONDS: Final = 10.0
"""Pause between two lines without a terminal, and between two lines of the log."""


class _View(Protocol):
    """A way to draw the figures of a run."""

    def show(self, figures: Figures, status: str, last: bool) -> None:
        """Draw the figures; `last`: they are final."""

    def close(self) -> None:
        """Leave the screen as it is; may be called twice."""


class RunDisplay:
    """The log, the trace and the view of one run."""

    def __init__(self, view: _View | None, log: IO[str] | None, trace: ShardTrace | None = None) -> None:
        self._view = view
        self._log = log
        self.trace = trace
        """None: no log folder."""
        self._next_log = 0.0

    def show(self, figures: Figures, status: str = "") -> None:
        """Show the present figures; may be called at any rate."""
        if self._view:
            self._view.show(figures, status, False)
        if time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + PLAIN_SECONDS
            self.write("progress", **figures.plain())

    def write(self, event: str, **values: Any) -> None:
        """Append one line to the log: its time, the event's name, and plain values."""
        if self._log:
            line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **values}
            self._log.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._log.flush()

    def end(self, figures: Figures, status: str) -> None:
        """Show and log the final figures."""
        if self._view:
            self._view.show(figures, status, True)
            self._view.close()
        self.write("end", status=status, **figures.plain())


@contextmanager
def open_display(title: str, log_folder: Path | None, quiet: bool, *, redraw: bool = True) -> Iterator[RunDisplay]:
    """Open the display of one run; `log_folder` gets a log and a trace named for the time of the start (UTC).

    Args:
        title: heads the view.
        log_folder: None: no log.
        quiet: no view.
        redraw: False: print lines on a terminal too, because a debugger's prompt would be drawn over.
    """
    console = Console(stderr=True)
    view: _View | None = None
    if not quiet:
        view = _Terminal(title, console) if console.is_terminal and redraw else _Lines(title)
    log: IO[str] | None = None
    trace: ShardTrace | None = None
    if log_folder is not None:
        log_folder.mkdir(parents=True, exist_ok=True)
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        log = (log_folder / f"{started}.jsonl").open("a", encoding="utf-8")
        trace = ShardTrace(log_folder / f"{started}.trace.json", started)
    try:
        yield RunDisplay(view, log, trace)
    finally:
        for each in (view, log, trace):
            if each:
                each.close()


def announce(message: str) -> None:
    """Print one line on standard error."""
    print(message, file=sys.stderr, flush=True)


class _Terminal:
    """A table that redraws itself."""

    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._live.start()

    def show(self, figures: Figures, status: str, last: bool) -> None:
        self._live.update(figures_table(self._title, figures, status), refresh=True)

    def close(self) -> None:
        self._live.stop()


class _Lines:
    """A line every `PLAIN_SECONDS`, and at once when something begins to start; the table at the end."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._next = time.monotonic() + 1.0
        self._starting: tuple[str, ...] = ()
        self._status = ""

    def show(self, figures: Figures, status: str, last: bool) -> None:
        if last:
            Console(stderr=True, width=120).print(figures_table(self._title, figures, status))
            return
        begins = bool(set(figures.starting) - set(self._starting))
        self._starting = figures.starting
        if begins or time.monotonic() >= self._next:
            self._next = time.monotonic() + PLAIN_SECONDS
            announce(figures_line(self._title, figures, status if status != self._status else ""))
            self._status = status

    def close(self) -> None:
        pass


def figures_table(title: str, figures: Figures, status: str) -> Table:
    """Return the figures as a table, one row a pool."""
    heading = "  ".join(part for part in (title, duration(figures.elapsed), _outlook(figures)) if part)
    grid = Table(title=escape(heading), caption=escape(status) or None, title_justify="left", caption_justify="left")
    for name in ("pool", "progress", "clips/s", "tokens/s", "state", "ETA", "failed"):
        grid.add_column(name, justify="right" if name in {"clips/s", "tokens/s", "ETA"} else "left")
    for pool in figures.pools:
        grid.add_row(*(escape(cell) for cell in _cells(pool)))
    return grid


def _cells(pool: PoolFigures) -> tuple[str, ...]:
    return (
        pool.pool,
        _progress(pool),
        f"{pool.clips_per_second:.2f}" if "clips" in pool.counts else "",
        f"{pool.tokens_per_second:.0f}" if "tokens" in pool.counts else "",
        _state(pool) or "working",
        "" if not pool.eta else duration(pool.eta),
        _failures(pool),
    )


def figures_line(title: str, figures: Figures, status: str) -> str:
    """Return the figures as one line for a log without a terminal."""
    parts = (f"{title} {duration(figures.elapsed)}", *map(_part, figures.pools), _outlook(figures), status)
    return " | ".join(part for part in parts if part)


def _part(pool: PoolFigures) -> str:
    facts = [
        _progress(pool),
        f"{pool.clips_per_second:.2f} clips/s" if "clips" in pool.counts else "",
        f"{pool.tokens_per_second:.0f} tokens/s" if "tokens" in pool.counts else "",
        _state(pool),
        f"failed: {_failures(pool)}" if pool.failed else "",
    ]
    return f"{pool.pool} {', '.join(fact for fact in facts if fact)}"


def _progress(pool: PoolFigures) -> str:
    """Return ``3/12 shards``, ``0/1 table``, or the number of a service's workers."""
    if pool.total is not None:
        return f"{pool.done}/{pool.total} {pool.unit}{'s' if pool.total != 1 else ''}"
    return f"{pool.workers} worker{'s' if pool.workers != 1 else ''}" if pool.workers else ""


def _state(pool: PoolFigures) -> str:
    """Return the pool's state, with the share of its workers' time without work; empty if it just works."""
    state = "" if pool.state == "working" else pool.state
    if pool.state not in ("working", "done") or pool.waits is None or pool.waits < 0.005:
        return state
    cause = f"waiting for {pool.waits_for}" if pool.waits_for else "idle"
    return ", ".join(part for part in (state, f"{cause} {100 * pool.waits:.0f} %") if part)


def _outlook(figures: Figures) -> str:
    """Return what is being started, or the time left."""
    if figures.starting:
        return f"starting {', '.join(figures.starting)}…"
    return f"ETA {duration(figures.eta)}" if figures.eta else ""


def _failures(pool: PoolFigures) -> str:
    return ", ".join(f"{name} {count:g}" for name, count in sorted(pool.failed.items()))


def duration(seconds: float) -> str:
    """Return ``4:07`` or ``1:04:07``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
