"""The visits of a media worker: paced over all nodes of its run, or over this machine if there is no Ray."""

from __future__ import annotations

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.politeness.access_pool import AccessPool
from curation.media.download.politeness.pacer_actor import run_pacer
from curation.media.download.politeness.site_visits import SiteVisits, pace_limits


def run_visits(settings: DownloadSettings, run: str) -> SiteVisits:
    """Return the visits of one worker of a run."""
    return SiteVisits(run_pacer(run, pace_limits(settings)), AccessPool.of(settings))
