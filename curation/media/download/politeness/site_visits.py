"""A worker's visits to sites: it waits for a slot at the pacer, holds it for one attempt, and says how that ended."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.politeness.access_pool import AccessPool
from curation.media.download.politeness.file_pacer import FilePacer, SitePacer, node_name, pacing_folder
from curation.media.download.politeness.lease_keeper import LeaseKeeper
from curation.media.download.politeness.pace_limits import Granted, PaceLimits, Postponed, VisitEnd, Visitor
from curation.media.download.politeness.site_traffic import SiteTraffic
from curation.sources.ledger import SourcePostponed
from runtime.log import get_logger
from runtime.stoppable_threads import stoppable_sleep

_log = get_logger(__name__)
_FIRST_POLL: Final = 0.05
_LONGEST_POLL: Final = 2.0
_numbers: Final = itertools.count()


@dataclass
class Visit:
    """A slot at a site for one attempt."""

    access: int
    """The pair of cookies and proxy to use."""
    end: VisitEnd
    """How the attempt ended; set before the visit ends."""


class SiteVisits:
    """The visits of one worker, which several threads make.

    Args:
        pacer: grants the slots.
        accesses: the cookies and proxies that the slots number.
    """

    def __init__(self, pacer: SitePacer, accesses: AccessPool) -> None:
        self.accesses = accesses
        self.traffic = SiteTraffic()
        """Requests and bytes by site."""
        self._pacer = pacer
        self._keeper = LeaseKeeper(pacer)

    @classmethod
    def on_this_machine(cls, settings: DownloadSettings, run: str = "", *, postpones: bool = True) -> SiteVisits:
        """Return visits that all workers of this machine pace together, without Ray.

        Args:
            settings: the limits.
            run: id of the run; refusals are counted for each run anew.
            postpones: False: no source is postponed, however many are refused.
        """
        limits = pace_limits(settings, postpones=postpones)
        return cls(FilePacer(pacing_folder(), limits, run), AccessPool.of(settings))

    @contextmanager
    def visit(self, site: str) -> Iterator[Visit]:
        """Wait for a slot at a site, and hold it until the block ends.

        Raises:
            SourcePostponed: the site, or too many sites, refuse every source.
        """
        visitor = Visitor(site, f"{node_name()}:{os.getpid()}:{next(_numbers)}", node_name())
        visit: Visit | None = None
        try:
            granted = self._wait(visitor)
            visit = Visit(granted.access, VisitEnd("other", granted.access))
            self._keeper.keep(visitor, granted.access)
            stoppable_sleep(granted.start_in)
            yield visit
        finally:
            self._keeper.drop(visitor)
            if visit is not None:
                opened = self._pacer.end(visitor, visit.end)
                if opened is not None:
                    _log.warning("%s", opened)
                    self.traffic.add_opened(site)

    def count(self, site: str, visit: Visit, requests: int, received: int) -> None:
        """Count the requests and bytes of an attempt whose end is known."""
        verdict = visit.end.verdict
        self.traffic.add(site, requests=requests, received=received, refused=verdict == "refused")
        if verdict == "unreachable":
            name = self.accesses.proxy_name(visit.access)
            _log.warning("media.download.proxies: %s can't be reached; it is left out for a while", name)
            self.traffic.add_unreachable(name)

    def _wait(self, visitor: Visitor) -> Granted:
        poll = _FIRST_POLL
        while True:
            answer = self._pacer.ask(visitor)
            if isinstance(answer, Granted):
                return answer
            if isinstance(answer, Postponed):
                raise SourcePostponed(answer.message)
            stoppable_sleep(max(poll, answer.seconds))
            poll = min(1.5 * poll, _LONGEST_POLL)


def pace_limits(settings: DownloadSettings, *, postpones: bool = True) -> PaceLimits:
    """Return what the settings of the download allow at each site."""
    return PaceLimits(
        interval=settings.host_interval,
        concurrency=settings.host_concurrency,
        per_minute=settings.host_requests_per_minute,
        backoff=settings.backoff,
        longest_wait=settings.max_wait,
        postpone_after=settings.postpone_after if postpones else 0,
        accesses=AccessPool.of(settings).count,
        by_proxy=bool(settings.proxies),
        rotation=settings.rotation,
    )
