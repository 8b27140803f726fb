"""Download one video: a URL through yt-dlp; a local file stays where it is.

The first step of the media stage. Each attempt at a URL runs in a child process
(`curation.media.download.ytdlp.fetch_process`). This module waits for a slot at the host, retries, and converts an
attempt's outcome to the classes of the ledger.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from curation.media.download.download_errors import Failure
from curation.media.download.download_settings import COOKIE_FILES, DownloadSettings, redact
from curation.media.download.downloaded_video import DownloadedVideo, VideoMetadata
from curation.media.download.local_videos import is_url, open_local
from curation.media.download.politeness.host_pacing import host_slot, pacing_folder, postpone, site_of
from curation.media.download.politeness.host_refusals import HostRefusals
from curation.media.download.ytdlp.fetch_request import FetchOutcome, FetchRequest
from curation.media.download.ytdlp.page_bounds import CPU_SIGNAL
from curation.media.subtitles.subtitle_tracks import Track
from curation.sources.ledger import SourceFailed, SourceFiltered
from runtime.errors import MachineError, UserError
from runtime.log import get_logger
from runtime.processes import ProcessTimeout, ffmpeg_binary, python_environment, run
from runtime.retry_loop import backoff_seconds
from runtime.stoppable_threads import stoppable_sleep

_log = get_logger(__name__)
_MOST_TAGS: Final = 100
_MOST_LETTERS: Final = 200
"""Tags and categories of a video, and letters of each, that are kept."""


def download(
    source: str, settings: DownloadSettings, scratch: Path, refusals: HostRefusals | None = None
) -> DownloadedVideo:
    """Download a source; a local file stays where it is.

    Blocks until the video has arrived, waiting times and retries included.

    Args:
        source: a URL or a path.
        settings: how to download it.
        scratch: an existing folder for this source alone; all files are written into it.
        refusals: the refusals of the run so far; None: they are not counted.

    Raises:
        SourcePostponed: the source's host, or too many hosts, refuse all sources.
        SourceFailed: the video can't be downloaded; the class gives the reason.
        SourceFiltered: `too_long`, if that becomes known before the whole video has arrived.
        MachineError: the disk is full, or ffmpeg can't be started.
    """
    if not is_url(source):
        return open_local(source)
    host = site_of(source)
    refusals = refusals or HostRefusals(pacing_folder(), 0)
    try:
        video = _download(source, settings, scratch, host, refusals)
    except SourceFailed as reason:
        refusals.failed(host, reason.class_)
        raise
    except SourceFiltered:
        refusals.answered(host)
        raise
    refusals.answered(host)
    return video


def _download(
    source: str, settings: DownloadSettings, scratch: Path, host: str, refusals: HostRefusals
) -> DownloadedVideo:
    """Download a URL, with all attempts; see `download`."""
    left, attempt = settings.time_limit, 0
    while True:
        refusals.check(host)  # before it waits for a slot, and after it: others were refused meanwhile
        with host_slot(host, pacing_folder(), interval=settings.host_interval, slots=settings.host_concurrency):
            refusals.check(host)
            began = time.monotonic()
            outcome = _attempt(source, settings, scratch, left, patient=attempt < settings.retries)
        left -= time.monotonic() - began
        failure = outcome.failure
        if failure is None:
            return _downloaded(outcome, settings, scratch)
        wait = failure.retry_after or backoff_seconds(attempt, settings.backoff, jitter=0.5)
        if failure.class_ == "rate_limited":  # the site asks all clients of this machine to wait
            postpone(host, pacing_folder(), min(wait, settings.max_wait))
        if not failure.transient or attempt == settings.retries or wait > min(settings.max_wait, left):
            raise SourceFailed(failure.class_, redact(failure.message, settings))
        _log.info("%s: %s; next attempt in %.0f s", redact(source, settings), redact(failure.message, settings), wait)
        if failure.class_ != "rate_limited":
            stoppable_sleep(wait)
        attempt += 1


def check_options(settings: DownloadSettings) -> None:
    """Check yt-dlp's options and its cookies file before work starts.

    Raises:
        UserError: yt-dlp has no such option or does not accept the value, or the cookies file can't be read.
    """
    from curation.media.download.ytdlp.ytdlp_options import ytdlp_options

    options = ytdlp_options(settings.yt_dlp)
    cookies = options.get("cookiefile")
    if cookies and not os.access(cookies, os.R_OK):
        raise UserError(f"download.yt_dlp.cookies={cookies}: no such file, or it can't be read")


def javascript_runtime() -> str | None:
    """Return name and version of a JavaScript runtime that yt-dlp can use for YouTube; None if there is none."""
    from yt_dlp.globals import supported_js_runtimes

    for runtime in supported_js_runtimes.value.values():
        info = runtime().info
        if info is not None and info.supported:
            return f"{info.name} {info.version}"
    return None


def _attempt(source: str, settings: DownloadSettings, scratch: Path, seconds: float, *, patient: bool) -> FetchOutcome:
    """Make one attempt in a child process, for at most `seconds`.

    Raises:
        SourceFiltered, MachineError: as `download`.
    """
    request_path, outcome_path = scratch / "request.json", scratch / "outcome.json"
    outcome_path.unlink(missing_ok=True)
    _write_private(request_path, json.dumps(asdict(_request(source, settings, scratch, patient))))
    module = "curation.media.download.ytdlp.fetch_process"
    args: list[str | Path] = [sys.executable, "-P", "-m", module, request_path, outcome_path]
    try:
        finished = run(args, timeout=seconds, cwd=scratch, env=python_environment(), check=False)
    except ProcessTimeout:
        reason = f"took longer than {settings.time_limit:g} s (download.time_limit)"
        return FetchOutcome(failure=Failure("network", reason))
    finally:
        request_path.unlink(missing_ok=True)
    if finished.returncode == -CPU_SIGNAL:
        reason = f"its page took more than {settings.page_cpu_seconds:g} s of CPU time (download.page_cpu_seconds)"
        return FetchOutcome(failure=Failure("not_video", reason))
    if not outcome_path.is_file():
        last_line = finished.stderr.strip().rpartition("\n")[2]
        message = f"the download process exited with status {finished.returncode}: {last_line}"
        return FetchOutcome(failure=Failure("internal", message))
    outcome = FetchOutcome.read(outcome_path)
    if outcome.machine is not None:
        raise MachineError(outcome.machine)
    if outcome.too_long is not None:
        raise SourceFiltered("too_long", outcome.too_long)
    return outcome


def _request(source: str, settings: DownloadSettings, scratch: Path, patient: bool) -> FetchRequest:
    return FetchRequest(
        url=source,
        folder=str(scratch),
        height=settings.height,
        languages=settings.languages,
        format=settings.format,
        options=_copy_cookies(settings.yt_dlp, scratch),
        socket_timeout=settings.socket_timeout,
        stall_seconds=settings.stall_seconds,
        min_bytes_per_second=settings.min_bytes_per_second,
        max_bytes=settings.max_bytes,
        max_duration=settings.max_duration,
        max_page_bytes=settings.max_page_bytes,
        page_cpu_seconds=settings.page_cpu_seconds,
        allowed_networks=settings.allow_private_addresses,
        allowed_schemes=settings.allow_schemes,
        ffmpeg=ffmpeg_binary(),
        patient=patient,
    )


def _copy_cookies(options: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """Return the options with a copy of the cookies file: yt-dlp writes into it, and several downloads share it."""
    result = dict(options)
    for name in COOKIE_FILES:
        if result.get(name):
            copy = scratch / "cookies.txt"
            _write_private(copy, Path(result[name]).read_text(encoding="utf-8"))
            result[name] = str(copy)
    return result


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


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
