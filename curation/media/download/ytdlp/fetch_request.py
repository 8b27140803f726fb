"""The request that the downloader sends to a child process, and the outcome that comes back; both as JSON files.

`curation.media.download.downloader` writes the request; `curation.media.download.ytdlp.fetch_process` writes the
outcome.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from curation.media.download.download_errors import Failure
from shards.storage.files import write_file


@dataclass(frozen=True)
class FetchRequest:
    """A URL to fetch, and the settings that apply."""

    url: str
    folder: str
    """Folder for all files that are written."""
    height: int
    languages: Sequence[str]
    format: str
    options: Mapping[str, Any]
    """yt-dlp's own options, as the user named them."""
    socket_timeout: float
    stall_seconds: float
    min_bytes_per_second: float
    max_bytes: int
    max_duration: float
    max_page_bytes: int
    page_cpu_seconds: float
    allowed_networks: Sequence[str]
    allowed_schemes: Sequence[str]
    ffmpeg: str
    """Path of the ffmpeg binary."""
    patient: bool
    """True if another attempt will follow: then a subtitle with a transient error fails the attempt."""
    list_limit: int = 0
    """If set, at most so many videos of a playlist are listed, and none is downloaded."""

    @classmethod
    def take(cls, path: Path) -> Self:
        """Read a request and delete its file, which may hold secrets."""
        request = cls(**json.loads(path.read_text(encoding="utf-8")))
        path.unlink()
        return request


@dataclass(frozen=True)
class FetchedTrack:
    """A subtitle file that was fetched with the video."""

    path: str
    language: str | None
    kind: Literal["manual", "auto"]
    format: str


@dataclass(frozen=True)
class ListedVideo:
    """A video of a playlist, as the playlist names it."""

    url: str
    title: str | None = None


@dataclass(frozen=True)
class FetchOutcome:
    """The result of one attempt: a video, or one reason why there is none."""

    path: str | None = None
    """The video, if it was fetched."""
    tracks: Sequence[FetchedTrack] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The site's metadata, not cleaned."""
    listed: Sequence[ListedVideo] = ()
    """The videos of a playlist."""
    warnings: Sequence[str] = ()
    failure: Failure | None = None
    """Why the attempt failed."""
    too_long: str | None = None
    """Set if the video is longer or larger than the settings allow."""
    machine: str | None = None
    """Set if this machine is at fault, for example its disk is full."""
    requests: int = 1
    """Requests that the attempt made."""
    received: int = 0
    """Bytes of all responses."""

    def write(self, path: Path) -> None:
        """Write the outcome as JSON, completely or not at all."""
        write_file(path, json.dumps(asdict(self), default=str).encode())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        failure = values.get("failure")
        return cls(
            **values
            | {
                "tracks": tuple(FetchedTrack(**track) for track in values.get("tracks", ())),
                "listed": tuple(ListedVideo(**video) for video in values.get("listed", ())),
                "warnings": tuple(values.get("warnings", ())),
                "failure": None if failure is None else Failure(**failure),
            }
        )


class FetchStopped(Exception):
    """The video is understood and not wanted, or the URL does not name a single video."""

    def __init__(self, outcome: FetchOutcome) -> None:
        super().__init__()
        self.outcome = outcome
