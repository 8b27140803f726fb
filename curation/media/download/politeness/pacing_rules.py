"""When a site may be asked, by whom and through which access: the decisions of pacing, on plain values and a clock.

`Pacing` serves all clients of all nodes. A slot is a lease: a client that dies stops renewing it. Starts are spaced
evenly, so that no minute has more than the budget. Refusals rest an access at a site for a time that doubles, for all
clients. A row of refusals opens a circuit: the site's other sources are postponed, until one probe is answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

from curation.media.download.politeness.pace_limits import (
    LEASE_SECONDS,
    Answer,
    Granted,
    PaceLimits,
    Postponed,
    VisitEnd,
    Visitor,
    Wait,
)
from curation.media.download.politeness.pacing_state import Circuit, Lease, PacingState, Rest, SiteState
from runtime.retry_limits import CIRCUIT_LONGEST, CIRCUIT_PAUSE, PROXY_LONGEST_REST, PROXY_REST

_EVERYWHERE: Final = ""
"""The circuit of all sites together."""
_FEWEST_SITES: Final = 2
_AHEAD_SECONDS: Final = 1.0
"""A start is reserved at most so long in advance, so that what happens meanwhile still counts."""
_POLL_SECONDS: Final = 0.1
_LONGEST_POLL: Final = 5.0
_REMEMBERED_SECONDS: Final = 3600.0
_AGAIN: Final = "(media.download.postpone_after); it is asked again in {minutes:.0f} min, or by the next run"


def _always(lease: str) -> bool:
    return True


class Pacing:
    """The decisions of one run over a state that may be shared with other runs.

    Args:
        limits: what the run allows itself.
        state: changed in place.
        run: id of the run; circuits are its own.
        is_alive: returns False for a lease whose client is known to be dead.
    """

    def __init__(
        self, limits: PaceLimits, state: PacingState, run: str = "", is_alive: Callable[[str], bool] = _always
    ) -> None:
        self._limits = limits
        self._state = state
        self._run = run
        self._is_alive = is_alive

    def ask(self, visitor: Visitor, now: float) -> Answer:
        """Return a slot at a site for a visitor, or how long to wait, or that the site is not asked at present."""
        site = self._state.sites.setdefault(visitor.site, SiteState())
        reachable = [n for n in range(self._limits.accesses) if self._state.unreachable.get(n, Rest()).until <= now]
        if not reachable:
            return Postponed(f"none of {self._limits.accesses} proxies can be reached (media.download.proxies)")
        usable = [n for n in reachable if self._refusing(visitor, n, now) is None]
        if not usable:
            return Postponed(self._refusing(visitor, reachable[0], now) or "")
        wait = self._wait(site, usable, now)
        if wait > 0:
            return Wait(min(wait, _LONGEST_POLL))
        access = self._choose(visitor.site, site, usable, now)
        start = max(site.next_start, now)
        site.next_start = start + self._limits.spacing
        site.leases[visitor.lease] = Lease(until=start + LEASE_SECONDS, access=access)
        for circuit in self._circuits(visitor, access):
            if circuit.trips:
                circuit.probe = visitor.lease
        return Granted(start - now, access)

    def end(self, visitor: Visitor, end: VisitEnd, now: float) -> str | None:
        """Free a slot and take in how its attempt ended; return one line if that opened a circuit."""
        site = self._state.sites.setdefault(visitor.site, SiteState())
        site.leases.pop(visitor.lease, None)
        further = max(end.requests - 1, 0) * self._limits.seconds_per_request
        if further:
            site.next_start = max(site.next_start, now) + further
        if end.verdict == "answered":
            site.rests.pop(end.access, None)
            self._state.unreachable.pop(end.access, None)
            self._close(visitor, end.access)
        elif end.verdict == "unreachable":
            self._rest(self._state.unreachable, end.access, now, PROXY_REST.seconds, PROXY_LONGEST_REST.seconds)
        elif end.verdict == "refused":
            self._rest(site.rests, end.access, now, self._limits.backoff, self._limits.longest_backoff)
            rest = site.rests[end.access]
            rest.until = max(rest.until, now + min(end.retry_after or 0.0, self._limits.longest_wait))
            return self._refused(visitor, end, now)
        return None

    def beat(self, visitors: Iterable[tuple[Visitor, int]], now: float) -> None:
        """Renew the slots of visitors, each with its access; those that are not known are taken in again."""
        for visitor, access in visitors:
            site = self._state.sites.setdefault(visitor.site, SiteState())
            site.leases[visitor.lease] = Lease(until=now + LEASE_SECONDS, access=access)

    def forget_idle(self, now: float) -> None:
        """Drop what no longer matters, so that the state stays as small as the work at hand."""
        state = self._state
        for name in [name for name, site in state.sites.items() if site.is_idle(now, _REMEMBERED_SECONDS)]:
            del state.sites[name]
        old = now - CIRCUIT_LONGEST.seconds - _REMEMBERED_SECONDS
        for name in [
            name for name, circuit in state.circuits.items() if max(circuit.touched, circuit.open_until) < old
        ]:
            del state.circuits[name]

    def _wait(self, site: SiteState, usable: Iterable[int], now: float) -> float:
        """Return the seconds until the visitor should ask again; 0: it may start."""
        if self._state.not_before > now:
            return self._state.not_before - now
        rested = min(site.rests.get(n, Rest()).until for n in usable) - now
        if rested > 0:
            return rested
        if len(site.leases) >= self._limits.concurrency:
            held = site.leases.items()
            site.leases = {name: lease for name, lease in held if lease.until > now and self._is_alive(name)}
            if len(site.leases) >= self._limits.concurrency:
                return _POLL_SECONDS
        return max(site.next_start - now - _AHEAD_SECONDS, 0.0)

    def _choose(self, name: str, site: SiteState, usable: Iterable[int], now: float) -> int:
        """Return the access to use: by turns, or the site's own; one that rests is passed over."""
        count = self._limits.accesses
        own = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        first = own if self._limits.rotation == "by_site" else self._state.turn
        ready = {n for n in usable if site.rests.get(n, Rest()).until <= now}
        access = next(n % count for n in range(first, first + count) if n % count in ready)
        self._state.turn = (access + 1) % count
        return access

    def _rest(self, rests: dict[int, Rest], access: int, now: float, first: float, longest: float) -> None:
        rest = rests.setdefault(access, Rest())
        if rest.until > now:
            return  # several attempts met one wall at the same time
        rest.row += 1
        rest.until = now + min(first * 2.0 ** (rest.row - 1), longest)

    def _key(self, visitor: Visitor, access: int, site: str) -> str:
        address = f"proxy {access}" if self._limits.by_proxy else visitor.node
        return f"{self._run}|{address}|{site}"

    def _circuits(self, visitor: Visitor, access: int) -> list[Circuit]:
        """Return the circuits that exist for a visitor: the site's and that of all sites."""
        keys = [self._key(visitor, access, site) for site in (visitor.site, _EVERYWHERE)]
        return [self._state.circuits[key] for key in keys if key in self._state.circuits]

    def _refusing(self, visitor: Visitor, access: int, now: float) -> str | None:
        """Return one line if an access must not be used at a site, because its circuit is open or has its probe."""
        for circuit in self._circuits(visitor, access):
            if circuit.trips and (now < circuit.open_until or self._is_held(circuit.probe, now)):
                return self._line(circuit, visitor.site, now)
        return None

    def _line(self, circuit: Circuit, site: str, now: float) -> str:
        again = _AGAIN.format(minutes=max(circuit.open_until - now, 0.0) / 60)
        sites = set(circuit.refused)
        if len(sites) > 1:
            return f"{len(sites)} hosts in a row refused every source {again}"
        return f"{site} refused {self._limits.postpone_after} sources in a row {again}"

    def _is_held(self, lease: str | None, now: float) -> bool:
        if lease is None:
            return False
        held = (site.leases[lease] for site in self._state.sites.values() if lease in site.leases)
        return any(each.until > now for each in held) and self._is_alive(lease)

    def _close(self, visitor: Visitor, access: int) -> None:
        for site in (visitor.site, _EVERYWHERE):
            self._state.circuits.pop(self._key(visitor, access, site), None)

    def _refused(self, visitor: Visitor, end: VisitEnd, now: float) -> str | None:
        """Count a refusal in the circuits, and open one whose limit is reached, or whose probe was refused."""
        if not self._limits.postpone_after:
            return None
        lines = []
        for site in (visitor.site, _EVERYWHERE):
            circuit = self._state.circuits.setdefault(self._key(visitor, end.access, site), Circuit())
            circuit.touched = now
            was_probe = circuit.probe == visitor.lease
            if end.is_last and (site != _EVERYWHERE or visitor.site not in circuit.refused):
                circuit.refused = [*circuit.refused, visitor.site][-self._limit(site) :]
            if was_probe or (not circuit.trips and len(circuit.refused) >= self._limit(site)):
                circuit.trips += 1
                circuit.probe = None
                pause = CIRCUIT_PAUSE.seconds * 2.0 ** (circuit.trips - 1)
                circuit.open_until = now + min(pause, CIRCUIT_LONGEST.seconds)
                lines.append(self._line(circuit, visitor.site, now))
        return lines[-1] if lines else None

    def _limit(self, site: str) -> int:
        """Return the refusals in a row that open a circuit; for that of all sites, each of another site."""
        return max(self._limits.postpone_after, _FEWEST_SITES) if site == _EVERYWHERE else self._limits.postpone_after
