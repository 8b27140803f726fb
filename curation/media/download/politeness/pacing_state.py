"""The state of all sites, small enough for one JSON file; a lost state costs nothing but a slow start."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Lease(BaseModel):
    """A slot that a client holds, until it ends or is not renewed."""

    until: float
    access: int


class Rest(BaseModel):
    """A pause after refusals or failures in a row."""

    until: float = 0.0
    row: int = 0


class SiteState(BaseModel):
    """One site: its slots, its next start, and the rest of each access."""

    next_start: float = 0.0
    leases: dict[str, Lease] = Field(default_factory=dict)
    rests: dict[int, Rest] = Field(default_factory=dict)

    def is_idle(self, now: float, memory: float) -> bool:
        """Return True if nothing would be lost with this state; refusals are remembered for `memory` seconds."""
        rested = all(rest.until + (memory if rest.row else 0.0) < now for rest in self.rests.values())
        return not self.leases and self.next_start < now and rested


class Circuit(BaseModel):
    """A breaker: closed below the limit of refusals in a row, then open, then half-open for one probe."""

    refused: list[str] = Field(default_factory=list)
    """The site of each source that was refused since the last answer; at most as many as the limit."""
    open_until: float = 0.0
    trips: int = 0
    """Times that it opened in a row; 0: closed."""
    probe: str | None = None
    """Lease of the probe."""
    touched: float = 0.0


class PacingState(BaseModel):
    """Everything that is known of all sites. Times are seconds of the clock that the decisions are given."""

    sites: dict[str, SiteState] = Field(default_factory=dict)
    circuits: dict[str, Circuit] = Field(default_factory=dict)
    """By run, address and site."""
    unreachable: dict[int, Rest] = Field(default_factory=dict)
    """Accesses whose proxy could not be reached."""
    turn: int = 0
    """The access whose turn it is."""
    not_before: float = 0.0
    """No slot is granted earlier: clients that hold one may still have to say so."""
    saved: float = 0.0
    """Time of the last change."""
