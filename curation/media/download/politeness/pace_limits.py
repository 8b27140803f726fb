"""The limits that pacing keeps, and what it is asked and told; plain values that travel between processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from runtime import retry_limits

Rotation = Literal["round_robin", "by_site"]
"""How accesses are chosen: each in its turn, or for each site the same one as long as it serves."""
Verdict = Literal["answered", "refused", "unreachable", "other"]
"""How an attempt ended: the site answered about the source, it refused whoever asks, the proxy could not be reached,
or in another way, which says nothing about the site."""

LEASE_SECONDS: Final = retry_limits.PACING_LEASE.seconds
_MINUTE: Final = 61.0
"""Seconds over which a minute's budget is spread: a start may come late, and the next one in time."""


@dataclass(frozen=True)
class PaceLimits:
    """What a run allows itself at each site."""

    interval: float = 0.0
    """Least seconds between two starts."""
    concurrency: int = 4
    """Simultaneous downloads."""
    per_minute: float = 0.0
    """Requests a minute; 0: no limit."""
    backoff: float = retry_limits.DOWNLOAD_BACKOFF.seconds
    """Rest in seconds after one refusal; doubled with each further one in a row."""
    longest_backoff: float = retry_limits.SITE_LONGEST_BACKOFF.seconds
    longest_wait: float = retry_limits.DOWNLOAD_MAX_WAIT.seconds
    """Longest rest in seconds that a site's `Retry-After` can ask for."""
    postpone_after: int = 0
    """Sources refused in a row after which the circuit opens; 0: never."""
    accesses: int = 1
    """Number of ways to reach a site: pairs of a cookies file and a proxy."""
    by_proxy: bool = False
    """Each access has an address of its own; otherwise the address is that of the node."""
    rotation: Rotation = "round_robin"

    @property
    def spacing(self) -> float:
        """Seconds between two starts: by the interval and by the budget."""
        return max(self.interval, self.seconds_per_request)

    @property
    def seconds_per_request(self) -> float:
        """Share of a minute that one request takes of the budget."""
        return _MINUTE / self.per_minute if self.per_minute else 0.0


@dataclass(frozen=True)
class Visitor:
    """A client that asks for one slot at one site."""

    site: str
    lease: str
    """Name of the slot, unique among all clients; begins with `node`, a colon and the process id."""
    node: str
    """Name of the machine."""


@dataclass(frozen=True)
class Granted:
    """A slot at the site."""

    start_in: float
    """Seconds until the reserved start."""
    access: int


@dataclass(frozen=True)
class Wait:
    """No slot yet: ask again later."""

    seconds: float


@dataclass(frozen=True)
class Postponed:
    """The site is not asked any more for a while: its sources stay pending."""

    message: str


Answer = Granted | Wait | Postponed


@dataclass(frozen=True)
class VisitEnd:
    """The end of one attempt."""

    verdict: Verdict
    access: int = 0
    is_last: bool = True
    """No further attempt at this source follows."""
    retry_after: float | None = None
    """Seconds that the site asks to wait."""
    requests: int = 1
