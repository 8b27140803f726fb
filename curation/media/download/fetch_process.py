"""One download attempt by yt-dlp, in a process of its own: ``python -m curation.media.download.fetch_process JOB.json``.

A process of its own because that makes three promises simple to keep: whatever hangs can be killed, the guard
against private addresses (`curation.media.download.address_guard`) covers every library and can't be undone, and yt-dlp's
memory goes back to the system. `curation.media.download.downloader` writes the job, starts this and reads the outcome.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partialmethod
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from curation.media.download.address_guard import EVERYWHERE, guard
from curation.media.download.download_errors import classify, retry_after_seconds
from curation.media.download.site_subtitles import UNKNOWN, choose_subtitles
from curation.media.download.stall_watch import Watch
from curation.media.download.ytdlp_options import ytdlp_options
from shards.storage.files import write_file

CONTAINER_FORMATS: Final = "mov,matroska,mpegts,aac,mp3,ogg,flv,avi,wav,flac,mpeg,asf"
"""What ffmpeg may take a downloaded file for when it joins picture and sound: containers, never playlists."""

_DESCRIPTION_CHARACTERS: Final = 2000


@dataclass(frozen=True)
class Job:
    """What to fetch, and how; a JSON file that only its owner can read."""

    url: str
    folder: str
    height: int
    languages: Sequence[str]
    format: str
    options: Mapping[str, Any]
    socket_timeout: float
    stall_seconds: float
    min_bytes_per_second: float
    max_bytes: int
    max_duration: float
    allowed_networks: Sequence[str]
    allowed_schemes: Sequence[str]
    ffmpeg: str
    patient: bool
    """Whether another attempt will follow: then a subtitle that fails for now fails the attempt."""


@dataclass(frozen=True)
class Outcome:
    """What became of the attempt: a video, or one of the reasons why there is none."""

    path: str | None = None
    tracks: Sequence[dict[str, Any]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    failure: Mapping[str, Any] | None = None
    """Fields of `curation.media.download.download_errors.Failure`."""
    too_long: str | None = None
    machine: str | None = None
    """A fault of this machine: no space, say."""


class _Stop(Exception):
    """The video is understood and not wanted, or no single video at all."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def main(job_path: Path, outcome_path: Path) -> None:
    """Do the job in `job_path` and leave an `Outcome` as JSON at `outcome_path`."""
    job = Job(**json.loads(job_path.read_text(encoding="utf-8")))
    job_path.unlink()

    def stalled(line: str) -> None:
        _write(Outcome(failure=asdict(classify(line))), outcome_path)
        os._exit(0)

    watch = Watch(job.stall_seconds, job.min_bytes_per_second, stalled)
    _write(fetch(job, watch), outcome_path)


def fetch(job: Job, watch: Watch) -> Outcome:
    """Download the job's URL; every end is an `Outcome`, but for errors of our own."""
    if not set(EVERYWHERE) & set(job.allowed_networks):
        sys.modules["curl_cffi"] = cast(ModuleType, None)  # opens sockets that no guard sees
    from yt_dlp.utils import YoutubeDLError

    with _client(job, watch) as ydl:
        guard(job.allowed_networks, _proxies(ydl))
        watch.suspend(False)
        try:
            return _download(ydl, job)
        except _Stop as stop:
            return stop.outcome
        except (YoutubeDLError, OSError) as error:
            return _explain(error, ydl)


def _client(job: Job, watch: Watch) -> Any:
    """A `YoutubeDL` that keeps to our rules."""
    os.environ["YTDLP_NO_PLUGINS"] = "1"
    import yt_dlp

    class Client(yt_dlp.YoutubeDL):
        """yt-dlp with our choice of subtitles, a scheme check, and an eye on what moves."""

        subtitle_kinds: dict[str, str]
        last_error: Any = None

        def urlopen(self, req: Any) -> Any:
            _check_scheme(req if isinstance(req, str) else req.url, job.allowed_schemes)
            watch.beat()
            try:
                return super().urlopen(req)
            except yt_dlp.networking.exceptions.HTTPError as error:
                self.last_error = error
                raise
            finally:
                watch.beat()

        def process_subtitles(self, video_id: str, normal_subtitles: Any, automatic_captions: Any) -> Any:
            chosen = choose_subtitles(normal_subtitles or {}, automatic_captions or {}, job.languages)
            self.subtitle_kinds = {language: kind for language, (kind, _) in chosen.items()}
            return {language: entry for language, (_, entry) in chosen.items()} or None

        def dl(self, name: str, info: Any, subtitle: bool = False, test: bool = False) -> Any:
            try:
                return super().dl(name, info, subtitle, test)
            except (yt_dlp.utils.YoutubeDLError, OSError) as error:
                reason = classify(str(error))
                if not subtitle or _machine_fault(error) or (job.patient and reason.transient):
                    raise
                self.report_warning(f"subtitle left out: {reason.message}")
                return False

    return Client(_parameters(job, watch))


def _parameters(job: Job, watch: Watch) -> dict[str, Any]:
    """Our parameters of YoutubeDL, the user's options over the defaults, what must hold over both."""
    from yt_dlp.globals import supported_js_runtimes

    defaults = {
        "format": job.format,
        "format_sort": [f"res:{job.height}", "fps:30", "vcodec:h264"],
        "merge_output_format": "mkv",
        "fragment_retries": 3,
        "js_runtimes": {name: {} for name in supported_js_runtimes.value},
    }
    held = {
        "paths": {"home": job.folder},
        "outtmpl": {"default": "video.%(format_id).40S.%(ext)s"},
        "restrictfilenames": True,
        "windowsfilenames": True,
        "noplaylist": True,
        "playlist_items": "1,2",
        "extract_flat": "in_playlist",
        "writesubtitles": True,
        "writeautomaticsub": True,
        "ignoreerrors": False,
        "retries": 0,  # the next attempt goes on where this one ended, with fresh URLs
        "skip_unavailable_fragments": False,
        "socket_timeout": job.socket_timeout,
        "hls_prefer_native": True,
        "external_downloader": {"default": "native"},
        "fixup": "never",
        "ffmpeg_location": job.ffmpeg,
        "postprocessor_args": {"ffmpeg_i": ["-protocol_whitelist", "file", "-format_whitelist", CONTAINER_FORMATS]},
        "progress_hooks": [_progress_hook(job, watch)],
        "postprocessor_hooks": [lambda status: watch.suspend(status["status"] == "started")],
        "logger": _Log(),
        "quiet": True,
        "noprogress": True,
        "color": "never",
        "overwrites": None,
        "updatetime": False,
    }
    return defaults | ytdlp_options(job.options) | held


class _Log:
    """Takes yt-dlp's lines; the warnings are kept."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        """Progress and the like: not kept."""

    def warning(self, message: str) -> None:
        """Kept for the log of the run."""
        self.warnings.append(message)

    def error(self, message: str) -> None:
        """Raised as an exception as well."""


def _progress_hook(job: Job, watch: Watch) -> Any:
    def hook(status: Mapping[str, Any]) -> None:
        here = float(status.get("downloaded_bytes") or 0)
        watch.arrived(str(status.get("filename")), here)
        if status.get("status") == "finished":
            watch.beat()
        still_to_come = max(float(status.get("total_bytes") or 0) - here, 0.0)
        if watch.total() + still_to_come > job.max_bytes:
            raise _Stop(Outcome(too_long=f"more than {job.max_bytes} bytes (download.max_bytes)"))

    return hook


def _proxies(ydl: Any) -> list[str]:
    """URLs of the proxies in use, from the options and the environment."""
    named = {scheme: url for scheme, url in ydl.proxies.items() if scheme != "no"}
    used = [*named.values(), ydl.params.get("geo_verification_proxy")]
    return [url for url in used if url and url != "__noproxy__"]


def _check_scheme(url: str, allowed: Sequence[str]) -> None:
    from yt_dlp.networking.exceptions import RequestError

    scheme = url.partition(":")[0].lower()
    if scheme not in allowed and scheme not in ("http", "https", "data"):
        raise RequestError(f"refused: unsupported URL scheme {scheme!r} (download.allow_schemes)")


def _download(ydl: Any, job: Job) -> Outcome:
    """Look at what the URL holds, then fetch it."""
    info = _one_video(ydl, ydl.extract_info(job.url, download=False))
    _check_wanted(info, job)
    done = ydl.process_ie_result(ydl.sanitize_info(info, remove_private_keys=True), download=True)
    written: Mapping[str, Any] = next(
        (item for item in done.get("requested_downloads") or () if item.get("filepath")), {}
    )
    if not written or not Path(written["filepath"]).is_file():
        return Outcome(failure=asdict(classify("no video was written: did not get any data")))
    subtitles = written.get("requested_subtitles") or done.get("requested_subtitles") or {}
    return Outcome(
        path=written["filepath"],
        tracks=list(_tracks(subtitles, getattr(ydl, "subtitle_kinds", {}))),
        metadata=_metadata(done),
        warnings=ydl.params["logger"].warnings[-20:],
    )


def _one_video(ydl: Any, info: dict[str, Any]) -> dict[str, Any]:
    """The video, or the only entry of a list.

    Raises:
        _Stop: the list has no entry, or more than one.
    """
    while info.get("_type") in ("playlist", "multi_video"):
        entries = [entry for entry in info.get("entries") or () if entry]
        if len(entries) != 1:
            what = "a list of videos: give each its own line" if entries else "no video here"
            raise _Stop(Outcome(failure={"class_": "not_video", "message": what}))
        info = ydl.process_ie_result(entries[0], download=False)
    return info


def _check_wanted(info: Mapping[str, Any], job: Job) -> None:
    if info.get("live_status") in ("is_live", "is_upcoming") or info.get("is_live"):
        raise _Stop(Outcome(failure={"class_": "not_video", "message": "a live stream that has not ended"}))
    duration = info.get("duration")
    if duration and duration > job.max_duration:
        text = f"{duration:.0f} s, at most {job.max_duration:g} s are wanted (download.max_duration)"
        raise _Stop(Outcome(too_long=text))


def _tracks(subtitles: Mapping[str, Mapping[str, Any]], kinds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for language, entry in subtitles.items():
        path = entry.get("filepath")
        if path and Path(path).is_file():
            yield {
                "path": path,
                "language": None if language == UNKNOWN else language.removesuffix("-orig"),
                "kind": kinds.get(language, "manual"),
                "format": entry["ext"],
            }


def _metadata(info: Mapping[str, Any]) -> dict[str, Any]:
    names = ("title", "uploader", "license", "upload_date", "webpage_url", "extractor", "id", "duration", "language")
    description = info.get("description")
    shortened = str(description)[:_DESCRIPTION_CHARACTERS] if description else None
    return {name: info.get(name) for name in names} | {"description": shortened}


def _explain(error: BaseException, ydl: Any) -> Outcome:
    """What an error of yt-dlp means."""
    chain = list(_chain(error))
    machine = next((text for text in map(_machine_fault, chain) if text), None)
    if machine:
        return Outcome(machine=machine)
    status, wait = None, None
    http = next((item for item in chain if hasattr(item, "status") and hasattr(item, "response")), ydl.last_error)
    if http is not None and f"{http.status}" in " ".join(map(str, chain)):
        status = http.status
        wait = retry_after_seconds(http.response.headers.get("Retry-After"), time.time())
    failure = asdict(classify(_words(chain), status, wait))
    return Outcome(failure=failure, warnings=ydl.params["logger"].warnings[-20:])


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it wraps, in each of the ways that yt-dlp wraps."""
    todo, seen = [error], set()
    while todo:
        item = todo.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        wrapped = (getattr(item, "exc_info", None) or (None, None))[1]
        links = (wrapped, getattr(item, "cause", None), item.__cause__, item.__context__)
        todo += [link for link in links if isinstance(link, BaseException)]


def _words(chain: Sequence[BaseException]) -> str:
    """The message of the first error; a type that says more than its words is named before it."""
    names = {type(item).__name__ for item in chain}
    message = str(chain[0]).removeprefix("ERROR: ")
    refused = next((str(item) for item in chain if type(item).__name__ == "PrivateAddress"), None)
    if refused:
        return refused
    if "GeoRestrictedError" in names and "geo" not in message.lower():
        return f"geo-restricted: {message}"
    return message or type(chain[0]).__name__


def _machine_fault(error: BaseException) -> str | None:
    """One line where the disk is at fault; connections that are refused by a firewall are not the machine's."""
    full = ("No space left on device", "Disk quota exceeded", "Read-only file system", "Too many open files")
    return next((f"download: {sign}" for sign in full if sign in str(error)), None)


def _write(outcome: Outcome, path: Path) -> None:
    """Leave the outcome whole or not at all."""
    write_file(path, json.dumps(asdict(outcome), default=str).encode())


def _bind_children() -> None:
    """Let what yt-dlp starts (ffmpeg, a JavaScript runtime) die with this process."""
    import yt_dlp.utils

    from runtime.processes import die_with

    popen = yt_dlp.utils.Popen
    popen.__init__ = partialmethod(popen.__init__, preexec_fn=die_with(os.getpid()))


if __name__ == "__main__":
    _bind_children()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
