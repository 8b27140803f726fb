"""Requests and bytes by site: counted by workers, carried in a shard's figures, and read from the figures of a run."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_REQUESTS: Final = "requests:"
_BYTES: Final = "bytes:"
_REFUSED: Final = "refused:"
_OPENED: Final = "postponed after refusals:"
_UNREACHABLE: Final = "unreachable:"
OTHER_SITES: Final = "other sites"
_SITES_NAMED: Final = 50
"""Sites that one worker names; further ones are counted together, so that figures stay small."""


class SiteTraffic:
    """Counts of one worker. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._named: set[str] = set()
        self._counts: Counter[str] = Counter()

    def add(self, site: str, *, requests: int, received: int, refused: bool) -> None:
        """Count one attempt at a site.

        Args:
            site: its name.
            requests: made in the attempt.
            received: bytes.
            refused: the site refused the attempt.
        """
        with self._lock:
            name = site if site in self._named or len(self._named) < _SITES_NAMED else OTHER_SITES
            self._named.add(name)
            self._counts.update({f"{_REQUESTS}{name}": requests, f"{_BYTES}{name}": received})
            if refused:
                self._counts[f"{_REFUSED}{name}"] += 1

    def add_opened(self, site: str) -> None:
        """Count that a site refused so many sources that its others are postponed."""
        with self._lock:
            self._counts[f"{_OPENED}{site if site in self._named else OTHER_SITES}"] += 1

    def add_unreachable(self, name: str) -> None:
        """Count that a proxy could not be reached; `name` holds no secret."""
        with self._lock:
            self._counts[f"{_UNREACHABLE}{name}"] += 1

    def take(self) -> dict[str, float]:
        """Return the figures since the last call, by names that `site_figures` reads."""
        with self._lock:
            taken = {name: float(count) for name, count in self._counts.items()}
            self._counts.clear()
        return taken


@dataclass(frozen=True)
class SiteFigures:
    """What a run asked of one site, and received."""

    site: str
    requests: int
    received: int
    """Bytes."""
    refused: int
    """Attempts that the site refused (403, 429, a check for robots)."""
    opened: int = 0
    """Times that it refused so many sources in a row that its others were postponed."""


def site_figures(counts: Mapping[str, float]) -> list[SiteFigures]:
    """Return the figures of each site, the most asked first.

    Args:
        counts: figures of the media stage: of `RunReport.counts`, or of a line of the run's log.
    """
    sites = {name.removeprefix(_REQUESTS) for name in counts if name.startswith(_REQUESTS)}
    figures = [
        SiteFigures(
            site,
            round(counts[f"{_REQUESTS}{site}"]),
            round(counts.get(f"{_BYTES}{site}", 0)),
            round(counts.get(f"{_REFUSED}{site}", 0)),
            round(counts.get(f"{_OPENED}{site}", 0)),
        )
        for site in sites
    ]
    return sorted(figures, key=lambda figure: (-figure.requests, figure.site))


def unreachable_proxies(counts: Mapping[str, float]) -> dict[str, int]:
    """Return how often each proxy could not be reached, by its name; of the figures that `site_figures` reads."""
    return {
        name.removeprefix(_UNREACHABLE): round(count) for name, count in counts.items() if name.startswith(_UNREACHABLE)
    }
