"""Download one video: a URL through yt-dlp; a local file stays where it is.

The first step of the media stage. Each attempt at a URL runs in a child process
(`curation.media.download.ytdlp.fetch_process`). This module waits for a slot at the site, retries, and converts an
attempt's outcome to the classes of the ledger.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from curation.media.download.download_errors import ANSWERS, REFUSALS, is_proxy_fault
from curation.media.download.download_settings import DownloadSettings, redact
from curation.media.download.downloaded_video import DownloadedVideo, VideoMetadata
from curation.media.download.fetch_attempt import attempt_fetch, fetch_request
from curation.media.download.local_videos import is_url, open_local
from curation.media.download.politeness.access_pool import AccessPool
from curation.media.download.politeness.pace_limits import Verdict, VisitEnd
from curation.media.download.politeness.site_names import site_of
from curation.media.download.politeness.site_visits import SiteVisits
from curation.media.download.stored_videos import fetch_stored, is_stored
from curation.media.download.ytdlp.fetch_request import FetchOutcome
from curation.media.subtitles.subtitle_tracks import Track
from curation.sources.ledger import SourceFailed, SourceFiltered
from runtime.errors import UserError
from runtime.log import get_logger
from runtime.retry_loop import backoff_seconds
from runtime.stoppable_threads import stoppable_sleep

_log = get_logger(__name__)
_MOST_TAGS: Final = 100
_MOST_LETTERS: Final = 200
"""Tags and categories of a video, and letters of each, that are kept."""


def download(
    source: str, settings: DownloadSettings, scratch: Path, visits: SiteVisits | None = None
) -> DownloadedVideo:
    """Download a source, from a site or an object store; a local file stays where it is.

    Blocks until the video has arrived, waiting times and retries included.

    Args:
        source: a URL or a path.
        settings: how to download it.
        scratch: an existing folder for this source alone; all files are written into it.
        visits: the worker's visits to sites; None: paced on this machine, and refusals are not counted.

    Raises:
        SourcePostponed: the source's site, or too many sites, refuse all sources.
        SourceFailed: the video can't be downloaded; the class gives the reason.
        SourceFiltered: `too_long`, if that becomes known before the whole video has arrived.
        MachineError: the disk is full, or ffmpeg can't be started.
    """
    if not is_url(source):
        return open_local(source)
    if is_stored(source):
        return fetch_stored(source, settings, scratch)
    visits = visits or SiteVisits.on_this_machine(settings, postpones=False)
    site, left, attempt = site_of(source), settings.time_limit, 0
    while True:
        with visits.visit(site) as visit:
            began = time.monotonic()
            access, patient = visits.accesses.options(visit.access), attempt < settings.retries
            outcome = attempt_fetch(fetch_request(source, settings, access, scratch, patient=patient), settings, left)
            left -= time.monotonic() - began
            pause = _pause(outcome, attempt, left, settings, visits.accesses)
            visit.end = _visit_end(outcome, visit.access, visits.accesses, is_last=pause is None)
            visits.count(site, visit, outcome.requests, outcome.received)
        if outcome.too_long is not None:
            raise SourceFiltered("too_long", outcome.too_long)
        failure = outcome.failure
        if failure is None:
            return _downloaded(outcome, settings, scratch)
        if pause is None:
            raise SourceFailed(failure.class_, redact(failure.message, settings))
        _log.info("%s: %s; next attempt in %.0f s", redact(source, settings), redact(failure.message, settings), pause)
        stoppable_sleep(pause)
        attempt += 1


def _pause(
    outcome: FetchOutcome, attempt: int, left: float, settings: DownloadSettings, accesses: AccessPool
) -> float | None:
    """Return the seconds to wait before the next attempt, without the wait for a slot; None if no attempt follows."""
    failure = outcome.failure
    if failure is None or outcome.too_long is not None or attempt == settings.retries:
        return None
    if accesses.count > 1 and _verdict(outcome, accesses) in ("refused", "unreachable"):
        return 0.0  # through another access
    wait = failure.retry_after or backoff_seconds(attempt, settings.backoff, jitter=0.5)
    if not failure.transient or wait > min(settings.max_wait, left):
        return None
    return 0.0 if failure.class_ == "rate_limited" else wait  # the pacer lets all clients of the site wait


def _visit_end(outcome: FetchOutcome, access: int, accesses: AccessPool, *, is_last: bool) -> VisitEnd:
    retry_after = outcome.failure.retry_after if outcome.failure is not None else None
    return VisitEnd(_verdict(outcome, accesses), access, is_last, retry_after, outcome.requests)


def _verdict(outcome: FetchOutcome, accesses: AccessPool) -> Verdict:
    """Return the verdict on the site, and on the cookies and the proxy, that an attempt gives."""
    failure = outcome.failure
    if failure is None or failure.class_ in ANSWERS:
        return "answered"
    if failure.class_ in REFUSALS:
        return "refused"
    return "unreachable" if accesses.proxies and is_proxy_fault(failure) else "other"


def check_options(settings: DownloadSettings) -> None:
    """Check yt-dlp's options and its cookies file before work starts.

    Raises:
        UserError: yt-dlp has no such option or does not accept the value, or the cookies file can't be read.
    """
    from curation.media.download.ytdlp.ytdlp_options import ytdlp_options

    options = ytdlp_options(settings.yt_dlp)
    named = {
        "yt_dlp.cookies": [options["cookiefile"]] if options.get("cookiefile") else [],
        "cookies": settings.cookies,
    }
    for setting, files in named.items():
        for cookies in files:
            if not os.access(cookies, os.R_OK):
                raise UserError(f"media.download.{setting}={cookies}: no such file, or it can't be read")
    for pool, single in (("cookies", "cookiefile"), ("proxies", "proxy")):
        if getattr(settings, pool) and options.get(single):
            raise UserError(f"media.download.{pool}: can't be set beside yt_dlp.{single}; put that one into {pool}")


def javascript_runtime() -> str | None:
    """Return name and version of a JavaScript runtime that yt-dlp can use for YouTube; None if there is none."""
    from yt_dlp.globals import supported_js_runtimes

    for runtime in supported_js_runtimes.value.values():
        info = runtime().info
        if info is not None and info.supported:
            return f"{info.name} {info.version}"
    return None


def _downloaded(outcome: FetchOutcome, settings: DownloadSettings, scratch: Path) -> DownloadedVideo:
    for warning in outcome.warnings:
        _log.info("%s", redact(warning, settings))
    assert outcome.path is not None
    path = Path(outcome.path)
    assert path.resolve().is_relative_to(scratch.resolve()), "yt-dlp wrote outside of its folder"
    tracks = tuple(Track(Path(track.path), track.language, track.kind, track.format) for track in outcome.tracks)
    return DownloadedVideo(path, tracks, _clean_metadata(outcome.metadata))


def _clean_metadata(metadata: Mapping[str, Any]) -> VideoMetadata:
    """Return a site's metadata as plain values; those of another type than expected are left out."""
    known = metadata.get
    return VideoMetadata(
        title=_text(known("title")),
        uploader=_text(known("uploader")),
        license=_text(known("license")),
        upload_date=_text(known("upload_date")),
        webpage_url=_text(known("webpage_url")),
        extractor=_text(known("extractor")),
        id=_text(known("id")),
        duration=_seconds(known("duration")),
        language=_text(known("language")),
        description=_text(known("description")),
        uploader_url=_text(known("uploader_url")),
        tags=_texts(known("tags")),
        categories=_texts(known("categories")),
        view_count=_number(known("view_count")),
        age_limit=_number(known("age_limit")),
    )


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _texts(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else ()
    return tuple(item[:_MOST_LETTERS] for item in items[:_MOST_TAGS] if isinstance(item, str))


def _number(value: Any) -> int | None:
    whole = int(value) if isinstance(value, int | float) and math.isfinite(value) else None
    return whole if whole is not None and abs(whole) < 1 << 63 else None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
