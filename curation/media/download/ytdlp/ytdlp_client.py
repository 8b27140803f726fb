"""A `yt_dlp.YoutubeDL` with this project's rules: subtitle choice, scheme check, size limit, stall watch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from curation.media.download.download_errors import classify
from curation.media.download.ytdlp.fetch_request import FetchOutcome, FetchRequest, FetchStopped
from curation.media.download.ytdlp.fetch_traffic import FetchTraffic
from curation.media.download.ytdlp.page_bounds import bound_whole_reads, stop_page_clock
from curation.media.download.ytdlp.site_subtitles import choose_subtitles, stated_language
from curation.media.download.ytdlp.stall_watch import StallWatch
from curation.media.download.ytdlp.ytdlp_errors import machine_fault
from curation.media.download.ytdlp.ytdlp_options import ytdlp_options
from runtime.retry_limits import FRAGMENT_RETRIES

CONTAINER_FORMATS: Final = "mov,matroska,mpegts,aac,mp3,ogg,flv,avi,wav,flac,mpeg,asf"
"""Demuxers that ffmpeg may use when it merges video and audio: containers, never playlists."""


def ytdlp_client(request: FetchRequest, watch: StallWatch, traffic: FetchTraffic) -> Any:
    """Return a `YoutubeDL` for one request; progress is reported to `watch`, and what is received to `traffic`."""
    os.environ["YTDLP_NO_PLUGINS"] = "1"
    import yt_dlp

    class Client(yt_dlp.YoutubeDL):
        """yt-dlp with our choice of subtitles, a scheme check, and a stall watch."""

        subtitle_kinds: dict[str, str]
        last_error: Any = None
        spoken: str | None = None

        def urlopen(self, req: Any) -> Any:
            """Open a URL if its scheme is allowed; keep the last HTTP error for its status and headers."""
            _check_scheme(req if isinstance(req, str) else req.url, request.allowed_schemes)
            watch.beat()
            traffic.requests += 1
            try:
                return bound_whole_reads(super().urlopen(req), request.max_page_bytes, traffic)
            except yt_dlp.networking.exceptions.HTTPError as error:
                self.last_error = error
                raise
            finally:
                watch.beat()

        def process_video_result(self, info_dict: Any, download: bool = True) -> Any:
            """Keep the language that the site states, which the choice of subtitles needs."""
            self.spoken = stated_language(info_dict)
            return super().process_video_result(info_dict, download)

        def process_subtitles(self, video_id: str, normal_subtitles: Any, automatic_captions: Any) -> Any:
            """Choose the subtitles to fetch, and keep the kind of each."""
            offered = normal_subtitles or {}, automatic_captions or {}
            chosen = choose_subtitles(*offered, request.languages, self.spoken)
            self.subtitle_kinds = {language: kind for language, (kind, _) in chosen.items()}
            return {language: entry for language, (_, entry) in chosen.items()} or None

        def dl(self, name: str, info: Any, subtitle: bool = False, test: bool = False) -> Any:
            """Download a file; a subtitle that can't be fetched does not fail the video."""
            stop_page_clock()
            try:
                return super().dl(name, info, subtitle, test)
            except (yt_dlp.utils.YoutubeDLError, OSError) as error:
                reason = classify(str(error))
                if not subtitle or machine_fault(error) or (request.patient and reason.transient):
                    raise
                self.report_warning(f"subtitle left out: {reason.message}")
                return False

    return Client(_parameters(request, watch))


def proxies_in_use(ydl: Any) -> list[str]:
    """Return the URLs of the proxies in use, from the options and the environment."""
    named = {scheme: url for scheme, url in ydl.proxies.items() if scheme != "no"}
    used = [*named.values(), ydl.params.get("geo_verification_proxy")]
    return [url for url in used if url and url != "__noproxy__"]


def _parameters(request: FetchRequest, watch: StallWatch) -> dict[str, Any]:
    """Return the parameters of YoutubeDL: our defaults, then the user's options, then the ones we hold fixed."""
    from yt_dlp.globals import supported_js_runtimes

    defaults = {
        "format": request.format,
        "format_sort": [f"res:{request.height}", "fps:30", "vcodec:h264"],
        "merge_output_format": "mkv",
        "fragment_retries": FRAGMENT_RETRIES.count,
        "js_runtimes": {name: {} for name in supported_js_runtimes.value},
    }
    held = {
        "paths": {"home": request.folder},
        "outtmpl": {"default": "video.%(format_id).40S.%(ext)s"},
        "restrictfilenames": True,
        "windowsfilenames": True,
        "noplaylist": True,
        "playlist_items": "1,2",
        "extract_flat": "in_playlist",
        "writesubtitles": True,
        "writeautomaticsub": True,
        "ignoreerrors": False,
        "retries": 0,  # the next attempt resumes this one, with fresh URLs
        "skip_unavailable_fragments": False,
        "socket_timeout": request.socket_timeout,
        "hls_prefer_native": True,
        "external_downloader": {"default": "native"},
        "fixup": "never",
        "ffmpeg_location": request.ffmpeg,
        "postprocessor_args": {"ffmpeg_i": ["-protocol_whitelist", "file", "-format_whitelist", CONTAINER_FORMATS]},
        "progress_hooks": [_progress_hook(request, watch)],
        "postprocessor_hooks": [lambda status: watch.suspend(status["status"] == "started")],
        "logger": WarningLog(),
        "quiet": True,
        "noprogress": True,
        "color": "never",
        "overwrites": None,
        "updatetime": False,
    }
    listing = {"noplaylist": False, "playlist_items": f"1:{request.list_limit}", "extract_flat": True}
    return defaults | ytdlp_options(request.options) | held | (listing if request.list_limit else {})


class WarningLog:
    """A logger for yt-dlp that keeps only its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        """Drop a progress line."""

    def warning(self, message: str) -> None:
        """Keep a warning for the log of the run."""
        self.warnings.append(message)

    def error(self, message: str) -> None:
        """Drop an error line, because yt-dlp also raises it as an exception."""


def _progress_hook(request: FetchRequest, watch: StallWatch) -> Callable[[Mapping[str, Any]], None]:
    def hook(status: Mapping[str, Any]) -> None:
        received = float(status.get("downloaded_bytes") or 0)
        watch.arrived(str(status.get("filename")), received)
        if status.get("status") == "finished":
            watch.beat()
        remaining = max(float(status.get("total_bytes") or 0) - received, 0.0)
        if watch.total() + remaining > request.max_bytes:
            raise FetchStopped(FetchOutcome(too_long=f"more than {request.max_bytes} bytes (download.max_bytes)"))

    return hook


def _check_scheme(url: str, allowed: Sequence[str]) -> None:
    from yt_dlp.networking.exceptions import RequestError

    scheme = url.partition(":")[0].lower()
    if scheme not in allowed and scheme not in ("http", "https", "data"):
        raise RequestError(f"refused: unsupported URL scheme {scheme!r} (download.allow_schemes)")
