"""Shows a run while it goes on: a table that renews itself on a terminal, a line every ten seconds elsewhere.

The same figures go to a file of JSON lines. `Display` is what the runner holds; it draws on standard error, so that
standard output stays free for what a command prints.
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

from runtime.ray_runner.progress import Figures, PoolFigures

PLAIN_SECONDS: Final = 10.0
"""Pause between two lines where there is no terminal, and between two lines of the log."""


class _View(Protocol):
    def show(self, figures: Figures, status: str, last: bool) -> None: ...

    def close(self) -> None: ...


class Display:
    """The log and the view of one run."""

    def __init__(self, title: str, view: _View | None, log: IO[str] | None) -> None:
        self._title = title
        self._view = view
        self._log = log
        self._next_log = 0.0

    def show(self, figures: Figures, status: str = "") -> None:
        """Show how things stand; may be called as often as one likes."""
        if self._view:
            self._view.show(figures, status, False)
        if time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + PLAIN_SECONDS
            self.write("progress", **figures.plain())

    def write(self, event: str, **values: Any) -> None:
        """Append one line to the log: its time, what it is, and plain values."""
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
def display(title: str, log_folder: Path | None, quiet: bool) -> Iterator[Display]:
    """A display for one run; `log_folder` gets a file named for the moment of the start (UTC)."""
    console = Console(stderr=True)
    view: _View | None = None
    if not quiet:
        view = _Terminal(title, console) if console.is_terminal else _Lines(title)
    log: IO[str] | None = None
    if log_folder is not None:
        log_folder.mkdir(parents=True, exist_ok=True)
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        log = (log_folder / f"{started}.jsonl").open("a", encoding="utf-8")
    try:
        yield Display(title, view, log)
    finally:
        if view:
            view.close()
        if log:
            log.close()


def announce(message: str) -> None:
    """One line on standard error."""
    print(message, file=sys.stderr, flush=True)


class _Terminal:
    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._live.start()

    def show(self, figures: Figures, status: str, last: bool) -> None:
        self._live.update(table(self._title, figures, status), refresh=True)

    def close(self) -> None:
        self._live.stop()


class _Lines:
    def __init__(self, title: str) -> None:
        self._title = title
        self._next = time.monotonic() + 1.0

    def show(self, figures: Figures, status: str, last: bool) -> None:
        if last:
            Console(stderr=True, width=120).print(table(self._title, figures, status))
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + PLAIN_SECONDS
            announce(line(self._title, figures, status))

    def close(self) -> None:
        pass


def table(title: str, figures: Figures, status: str) -> Table:
    """The figures as a table, one row a pool."""
    heading = f"{title}  {duration(figures.elapsed)}" + (f"  ETA {duration(figures.eta)}" if figures.eta else "")
    grid = Table(title=escape(heading), caption=escape(status) or None, title_justify="left", caption_justify="left")
    for name in ("pool", "done", "clips/s", "tokens/s", "waits", "ETA", "failed"):
        grid.add_column(name, justify="left" if name in {"pool", "failed"} else "right")
    for pool in figures.pools:
        grid.add_row(*(escape(cell) for cell in _cells(pool)))
    return grid


def _cells(pool: PoolFigures) -> tuple[str, ...]:
    return (
        pool.pool,
        "" if pool.total is None else f"{pool.done}/{pool.total}",
        f"{pool.clips_per_second:.2f}" if "clips" in pool.counts else "",
        f"{pool.tokens_per_second:.0f}" if "tokens" in pool.counts else "",
        "" if pool.waits is None else f"{pool.waits:.0%}",
        "" if not pool.eta else duration(pool.eta),
        _failures(pool),
    )


def _failures(pool: PoolFigures) -> str:
    return ", ".join(f"{name} {count:g}" for name, count in sorted(pool.failed.items()))


def line(title: str, figures: Figures, status: str) -> str:
    """The figures as one line for a log without a terminal."""
    parts = [_part(pool) for pool in figures.pools]
    eta = f"ETA {duration(figures.eta)}" if figures.eta else ""
    return " | ".join(part for part in (f"{title} {duration(figures.elapsed)}", *parts, eta, status) if part)


def _part(pool: PoolFigures) -> str:
    words = [pool.pool]
    if pool.total is not None:
        words.append(f"{pool.done}/{pool.total}")
    if "clips" in pool.counts:
        words.append(f"{pool.clips_per_second:.2f} clips/s")
    if "tokens" in pool.counts:
        words.append(f"{pool.tokens_per_second:.0f} tokens/s")
    if pool.waits is not None:
        words.append(f"waits {pool.waits:.0%}")
    if pool.failed:
        words.append(f"failed: {_failures(pool)}")
    return " ".join(words)


def duration(seconds: float) -> str:
    """``4:07`` or ``1:04:07``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
