"""Getting one video onto this machine: a URL through yt-dlp, or a local file as it is.

The first step of the media stage. Each attempt at a URL runs in a child process (`curation.media.download.fetch_process`); here are
the settings, the turns at a host, the retries, and the way from an attempt's outcome to the ledger's classes.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from curation.media.download.download_errors import Failure
from curation.media.download.download_settings import COOKIE_FILES, DownloadSettings, redact
from curation.media.download.fetch_process import Job, Outcome
from curation.media.download.host_pacing import pacing_folder, postpone, turn
from curation.media.speech.subtitle_tracks import Track
from curation.sources.ledger import SourceFailed, SourceFiltered
from runtime.errors import MachineError, UserError
from runtime.log import get_logger
from runtime.processes import ProcessTimeout, ffmpeg_binary, run

__all__ = [
    "Download",
    "DownloadSettings",
    "VideoMetadata",
    "check_options",
    "download",
    "is_url",
    "javascript_runtime",
    "local",
]

_log = get_logger(__name__)

SUBTITLE_SUFFIXES: Final = (".vtt", ".srt", ".json3")


@dataclass(frozen=True)
class VideoMetadata:
    """What a site says of a video. From outside: data, never instructions, never paths."""

    title: str | None = None
    uploader: str | None = None
    license: str | None = None
    upload_date: str | None = None
    """``YYYYMMDD``."""
    webpage_url: str | None = None
    extractor: str | None = None
    id: str | None = None
    duration: float | None = None
    language: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Download:
    """A video on this machine."""

    path: Path
    tracks: tuple[Track, ...] = ()
    metadata: VideoMetadata = VideoMetadata()


def download(source: str, settings: DownloadSettings, scratch: Path) -> Download:
    """Bring a source to this machine; a local file stays where it is.

    Blocks for as long as the video takes, its turns and retries included.

    Args:
        source: a URL or a path.
        settings: how.
        scratch: an existing folder for this source alone; all files are written into it.

    Raises:
        SourceFailed: there is no video to be had; the class says why.
        SourceFiltered: `too_long`, where that is known without fetching it all.
        MachineError: the disk is full, or ffmpeg can't be started.
    """
    if not is_url(source):
        return local(source)
    host = (urlsplit(source).hostname or "").removeprefix("www.")
    left, attempt = settings.time_limit, 0
    while True:
        with turn(host, pacing_folder(), interval=settings.host_interval, places=settings.host_concurrency):
            began = time.monotonic()
            outcome = _attempt(source, settings, scratch, left, patient=attempt < settings.retries)
        left -= time.monotonic() - began
        if outcome.failure is None:
            return _delivered(outcome, settings, scratch)
        failure = Failure(**outcome.failure)
        wait = failure.retry_after or settings.backoff * 2**attempt * random.uniform(0.5, 1.5)
        if failure.class_ == "rate_limited":  # asked of all who are at this host
            postpone(host, pacing_folder(), min(wait, settings.max_wait))
        if not failure.transient or attempt == settings.retries or wait > min(settings.max_wait, left):
            raise SourceFailed(failure.class_, redact(failure.message, settings))
        _log.info("%s: %s; again in %.0f s", redact(source, settings), redact(failure.message, settings), wait)
        if failure.class_ != "rate_limited":
            time.sleep(wait)
        attempt += 1


def local(source: str) -> Download:
    """A file that is here already, with the subtitle files beside it (``x.vtt``, ``x.en.srt``, ``x.en.auto.json3``).

    Raises:
        SourceFailed: `removed`, where there is no such file (any more).
    """
    path = Path(source)
    if not path.is_file():
        raise SourceFailed("removed", f"{source}: no such file")
    return Download(path, _sidecars(path), VideoMetadata(title=path.stem, extractor="file", id=path.name))


def is_url(source: str) -> bool:
    """Whether a source is a URL (``scheme://…``) and no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source) is not None


def check_options(settings: DownloadSettings) -> None:
    """Check what can be checked before work starts: yt-dlp's options, its cookies file.

    Raises:
        UserError: an option that yt-dlp does not know or take, a cookies file that can't be read.
    """
    from curation.media.download.ytdlp_options import ytdlp_options

    options = ytdlp_options(settings.yt_dlp)
    cookies = options.get("cookiefile")
    if cookies and not os.access(cookies, os.R_OK):
        raise UserError(f"download.yt_dlp.cookies={cookies}: no such file, or it can't be read")


def javascript_runtime() -> str | None:
    """Name and version of a JavaScript runtime that yt-dlp can use for YouTube; None where there is none."""
    from yt_dlp.globals import supported_js_runtimes

    for runtime in supported_js_runtimes.value.values():
        info = runtime().info
        if info is not None and info.supported:
            return f"{info.name} {info.version}"
    return None


def _attempt(source: str, settings: DownloadSettings, scratch: Path, seconds: float, *, patient: bool) -> Outcome:
    """One attempt in a child process.

    Raises:
        SourceFiltered, MachineError: as `download`.
    """
    job_path, outcome_path = scratch / "job.json", scratch / "outcome.json"
    outcome_path.unlink(missing_ok=True)
    _write_private(job_path, json.dumps(asdict(_job(source, settings, scratch, patient))))
    try:
        args: list[str | Path] = [
            sys.executable,
            "-P",
            "-m",
            "curation.media.download.fetch_process",
            job_path,
            outcome_path,
        ]
        finished = run(args, timeout=seconds, cwd=scratch, env=_environment(), check=False)
    except ProcessTimeout:
        reason = f"took longer than {settings.time_limit:g} s (download.time_limit)"
        return Outcome(failure=asdict(Failure("network", reason)))
    finally:
        job_path.unlink(missing_ok=True)
    if not outcome_path.is_file():
        said = finished.stderr.strip().rpartition("\n")[2]
        return Outcome(failure=asdict(Failure("internal", f"download ended with {finished.returncode}: {said}")))
    outcome = Outcome(**json.loads(outcome_path.read_text(encoding="utf-8")))
    if outcome.machine is not None:
        raise MachineError(outcome.machine)
    if outcome.too_long is not None:
        raise SourceFiltered("too_long", outcome.too_long)
    return outcome


def _job(source: str, settings: DownloadSettings, scratch: Path, patient: bool) -> Job:
    return Job(
        url=source,
        folder=str(scratch),
        height=settings.height,
        languages=settings.languages,
        format=settings.format,
        options=_own_cookies(settings.yt_dlp, scratch),
        socket_timeout=settings.socket_timeout,
        stall_seconds=settings.stall_seconds,
        min_bytes_per_second=settings.min_bytes_per_second,
        max_bytes=settings.max_bytes,
        max_duration=settings.max_duration,
        allowed_networks=settings.allow_private_addresses,
        allowed_schemes=settings.allow_schemes,
        ffmpeg=ffmpeg_binary(),
        patient=patient,
    )


def _own_cookies(options: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """The options with a copy of the cookies file: yt-dlp writes into it, and several downloads share it."""
    result = dict(options)
    for name in COOKIE_FILES:
        if result.get(name):
            copy = scratch / "cookies.txt"
            _write_private(copy, Path(result[name]).read_text(encoding="utf-8"))
            result[name] = str(copy)
    return result


def _environment() -> dict[str, str]:
    """The child finds our packages wherever this process found them."""
    packages = str(Path(__file__).parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))}


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _delivered(outcome: Outcome, settings: DownloadSettings, scratch: Path) -> Download:
    for warning in outcome.warnings:
        _log.info("%s", redact(warning, settings))
    assert outcome.path is not None
    path = Path(outcome.path)
    assert path.resolve().is_relative_to(scratch.resolve()), "yt-dlp wrote outside of its folder"
    tracks = tuple(Track(**(track | {"path": Path(track["path"])})) for track in outcome.tracks)
    return Download(path, tracks, VideoMetadata(**_clean(outcome.metadata)))


def _clean(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A site's words as plain text; what is no text and no number is left out."""
    texts = {f.name: metadata.get(f.name) for f in fields(VideoMetadata)}
    cleaned: dict[str, Any] = {name: str(v) for name, v in texts.items() if isinstance(v, str | int | float)}
    duration = metadata.get("duration")
    return cleaned | {"duration": float(duration) if isinstance(duration, int | float) else None}


def _sidecars(video: Path) -> tuple[Track, ...]:
    """Subtitle files with the video's stem, in the order of their names."""
    pattern = re.compile(re.escape(video.stem) + r"(?:\.([A-Za-z]{2,3}(?:[-_]\w+)*))??(\.auto)?")
    tracks = []
    with os.scandir(video.parent) as entries:
        beside = sorted(entry.name for entry in entries if entry.name.startswith(video.stem))
    for path in map(video.with_name, beside):
        match = pattern.fullmatch(path.stem) if path.suffix.lower() in SUBTITLE_SUFFIXES else None
        if match is not None and path.is_file():
            format_ = path.suffix.lower().removeprefix(".")
            tracks.append(Track(path, match[1], "auto" if match[2] else "manual", format_))
    return tuple(tracks)
