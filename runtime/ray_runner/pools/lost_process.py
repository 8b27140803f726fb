"""Deaths of a pool's processes: which count, and when they are too many. Pure, but for the texts of Ray's errors."""

from __future__ import annotations

from collections import deque
from typing import Final

from runtime.retry_limits import DEATH_WINDOW, DEATHS_AT_START, HOST_DEATHS

_NODE_DIED: Final = "its node has died"
"""Part of Ray's message; the error has a field only for a node whose end was announced."""


def died_with_its_node(error: BaseException) -> bool:
    """Return True if an actor was lost because its node was: preempted, crashed, or shut down."""
    return bool(getattr(error, "preempted", False)) or _NODE_DIED in str(error)


class DeathLog:
    """The deaths of the processes that followed one another in one place of a pool.

    A lost node is not counted as a death: nodes come and go. Deaths while starting are counted until a start succeeds,
    however long they take; later deaths are counted by rate, so that a run of weeks survives some.
    """

    def __init__(self) -> None:
        self._at_start = 0
        self._while_ready: deque[float] = deque()

    def note_ready(self) -> None:
        """Note that a process has started."""
        self._at_start = 0

    def count(self, now: float, *, was_ready: bool) -> int | None:
        """Count a death at `now`, in seconds; return the number of deaths if there were too many, else None."""
        if not was_ready:
            self._at_start += 1
            return self._at_start if self._at_start > DEATHS_AT_START.count else None
        self._while_ready.append(now)
        while self._while_ready[0] < now - DEATH_WINDOW.seconds:
            self._while_ready.popleft()
        deaths = len(self._while_ready)
        return deaths if deaths > HOST_DEATHS.count else None
