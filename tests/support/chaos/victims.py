"""The processes of a run by the part they play, and those that a fault suite may kill: descendants of its own only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from support.processes import below

Part = Literal["worker", "service", "raylet", "gcs", "command", "driver", "endpoint", "node"]
"""A part of a run. ``service`` hosts engines, ``command`` is `curate` itself, ``driver`` its child that drives Ray,
``endpoint`` the language model's server, ``node`` the raylet of a second node."""

_TITLES: dict[Part, str] = {
    "service": r"^ray::ServiceHost",
    "worker": r"^ray::.*StageActor",
    "raylet": r"/raylet/raylet ",
    "gcs": r"/gcs_server ",
    "driver": r"ray_runner\.driver\.driver_process",
}


@dataclass(frozen=True)
class Victims:
    """Finds victims below the roots of a run."""

    roots: Callable[[], Iterable[int]]
    """Process ids of the command and of the nodes of its cluster, as of now."""
    scratch: Path
    """Scratch folder of the run: its notes tell which videos were in work when a worker died."""

    def of(self, part: Part) -> list[psutil.Process]:
        """Return the running processes that play a part."""
        return [process for process in self.all() if re.search(_TITLES[part], command_of(process))]

    def all(self) -> Iterator[psutil.Process]:
        """Yield every process below the roots."""
        for root in self.roots():
            yield from below(root)

    def has_suspect(self) -> bool:
        """Return True if a video is in work on which a worker died before.

        A second death is taken for the video's fault (`runtime.retry_limits.DEATHS_PER_SOURCE`), and rightly so: chance
        must not kill two workers on one video, or the run would differ from an undisturbed one.
        """
        return any(_size(note) > 1 for note in (self.scratch / "attempts").rglob("*") if note.is_file())


def command_of(process: psutil.Process) -> str:
    """Return the command line of a process, or its title where it has set one; empty if it has just ended."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def _size(note: Path) -> int:
    try:
        return note.stat().st_size
    except FileNotFoundError:
        return 0
