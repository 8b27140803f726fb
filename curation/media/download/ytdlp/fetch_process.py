"""Make one download attempt with yt-dlp, in a child process.

Run as ``python -m curation.media.download.ytdlp.fetch_process REQUEST.json OUTCOME.json``.

A child process makes three promises simple to keep: a download that hangs can be killed; the guard against private
addresses (`curation.sources.address_guard`) covers every library and can't be undone; yt-dlp's memory returns
to the system. `curation.media.download.downloader` writes the request, starts this process and reads the outcome.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from curation.media.download.download_errors import Failure, classify
from curation.media.download.ytdlp.fetch_request import FetchedTrack, FetchOutcome, FetchRequest, FetchStopped
from curation.media.download.ytdlp.fetch_traffic import FetchTraffic
from curation.media.download.ytdlp.page_bounds import limit_memory, start_page_clock
from curation.media.download.ytdlp.playlist_entries import list_videos
from curation.media.download.ytdlp.site_subtitles import UNKNOWN
from curation.media.download.ytdlp.stall_watch import StallWatch
from curation.media.download.ytdlp.ytdlp_client import proxies_in_use, ytdlp_client
from curation.media.download.ytdlp.ytdlp_errors import explain_error
from curation.sources.address_guard import EVERYWHERE, guard_connections
from runtime.retry_limits import DOWNLOAD_MEMORY
from shards.storage.url_secrets import without_tokens, without_user

_DESCRIPTION_CHARACTERS: Final = 2000
_STATED: Final = (
    "title",
    "license",
    "upload_date",
    "extractor",
    "id",
    "duration",
    "language",
    "tags",
    "categories",
    "view_count",
    "age_limit",
)
"""yt-dlp's names of the facts that are kept as they are."""


def main(request_path: Path, outcome_path: Path) -> None:
    """Carry out the `FetchRequest` at `request_path` and write a `FetchOutcome` to `outcome_path`."""
    request = FetchRequest.take(request_path)

    traffic = FetchTraffic()

    def write(outcome: FetchOutcome) -> None:
        replace(outcome, requests=max(traffic.requests, 1), received=traffic.received).write(outcome_path)

    def stalled(line: str) -> None:
        write(FetchOutcome(failure=classify(line)))
        os._exit(0)

    write(fetch(request, StallWatch(request.stall_seconds, request.min_bytes_per_second, stalled), traffic))


def fetch(request: FetchRequest, watch: StallWatch, traffic: FetchTraffic) -> FetchOutcome:
    """Download the requested URL. Every failure is returned as an outcome; only errors of this program are raised."""
    if not set(EVERYWHERE) & set(request.allowed_networks):
        sys.modules["curl_cffi"] = cast(ModuleType, None)  # its sockets bypass the guard
    from yt_dlp.utils import YoutubeDLError

    with ytdlp_client(request, watch, traffic) as ydl:
        guard_connections(request.allowed_networks, proxies_in_use(ydl))
        start_page_clock(request.page_cpu_seconds)
        watch.suspend(False)
        try:
            return list_videos(ydl, request) if request.list_limit else _download(ydl, request)
        except FetchStopped as stop:
            return stop.outcome
        except MemoryError:
            return FetchOutcome(
                failure=Failure("not_video", f"needs more than {DOWNLOAD_MEMORY.count >> 30} GiB of memory")
            )
        except (YoutubeDLError, OSError) as error:
            return explain_error(error, ydl)


def _download(ydl: Any, request: FetchRequest) -> FetchOutcome:
    """Read the URL's metadata, and fetch the video if it is wanted."""
    info = _single_video(ydl, ydl.extract_info(request.url, download=False))
    _check_wanted(info, request)
    done = ydl.process_ie_result(ydl.sanitize_info(info, remove_private_keys=True), download=True)
    written: Mapping[str, Any] = next(
        (item for item in done.get("requested_downloads") or () if item.get("filepath")), {}
    )
    if not written or not Path(written["filepath"]).is_file():
        return FetchOutcome(failure=classify("no video was written: did not get any data"))
    subtitles = written.get("requested_subtitles") or done.get("requested_subtitles") or {}
    return FetchOutcome(
        path=written["filepath"],
        tracks=list(_tracks(subtitles, getattr(ydl, "subtitle_kinds", {}))),
        metadata=_metadata(done),
        warnings=ydl.params["logger"].warnings[-20:],
    )


def _single_video(ydl: Any, info: dict[str, Any]) -> dict[str, Any]:
    """Return the video, or the only entry of a playlist.

    Raises:
        FetchStopped: the playlist has no entry, or more than one.
    """
    while info.get("_type") in ("playlist", "multi_video"):
        entries = [entry for entry in info.get("entries") or () if entry]
        if len(entries) != 1:
            message = (
                "a list of videos: give each its own line, or set media.download.playlists"
                if entries
                else "the URL has no video"
            )
            raise FetchStopped(FetchOutcome(failure=Failure("not_video", message)))
        info = ydl.process_ie_result(entries[0], download=False)
    return info


def _check_wanted(info: Mapping[str, Any], request: FetchRequest) -> None:
    if info.get("live_status") in ("is_live", "is_upcoming") or info.get("is_live"):
        raise FetchStopped(FetchOutcome(failure=Failure("not_video", "a live stream that has not ended")))
    duration = info.get("duration")
    if duration and duration > request.max_duration:
        text = f"{duration:.0f} s, the maximum is {request.max_duration:g} s (download.max_duration)"
        raise FetchStopped(FetchOutcome(too_long=text))


def _tracks(subtitles: Mapping[str, Mapping[str, Any]], kinds: Mapping[str, Any]) -> Iterator[FetchedTrack]:
    for language, entry in subtitles.items():
        path = entry.get("filepath")
        if path and Path(path).is_file():
            tag = None if language == UNKNOWN else language.removesuffix("-orig")
            yield FetchedTrack(path, tag, kinds.get(language, "manual"), entry["ext"])


def _metadata(info: Mapping[str, Any]) -> dict[str, Any]:
    description = info.get("description")
    values = {name: info.get(name) for name in _STATED}
    values |= {name: _address(info.get(name)) for name in ("webpage_url", "uploader_url")}
    values["uploader"] = info.get("uploader") or info.get("channel")
    values["uploader_url"] = values["uploader_url"] or _address(info.get("channel_url"))
    values["description"] = str(description)[:_DESCRIPTION_CHARACTERS] if description else None
    return values


def _address(url: Any) -> str | None:
    """Return a URL without secrets: after a redirect it may hold some that the given URL did not."""
    return without_tokens(without_user(url)) if isinstance(url, str) and url else None


def _bind_children() -> None:
    """Let what yt-dlp starts (ffmpeg, a JavaScript runtime) die with this process."""
    import yt_dlp.utils

    from runtime.children.child_setup import prepare_child

    popen = yt_dlp.utils.Popen
    popen.__init__ = partialmethod(popen.__init__, preexec_fn=prepare_child(os.getpid()))


if __name__ == "__main__":
    _bind_children()
    limit_memory()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
