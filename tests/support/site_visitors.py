"""A media worker's visits to a site, for actors of Ray: their processes import this package and no test module."""

from __future__ import annotations

import time

from support.downloads import quick_settings

from curation.media.download.politeness.run_visits import run_visits


class SiteVisitor:
    """Visits one site, one visit at a time among all visitors of a run."""

    def __init__(self, run: str) -> None:
        self._visits = run_visits(quick_settings(host_interval=0.3, host_concurrency=1), run)

    def visit(self, seconds: float) -> tuple[float, float]:
        """Visit the site for so long; return the start and the end on the machine's monotonic clock."""
        with self._visits.visit("a.example"):
            start = time.monotonic()
            time.sleep(seconds)
            return start, time.monotonic()
