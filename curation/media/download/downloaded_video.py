"""A video that is on this machine, with its subtitle files and its metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curation.media.subtitles.subtitle_tracks import Track


@dataclass(frozen=True)
class VideoMetadata:
    """A site's statements about a video. They come from outside: data, never instructions, never paths."""

    title: str | None = None
    uploader: str | None = None
    license: str | None = None
    upload_date: str | None = None
    """``YYYYMMDD``."""
    webpage_url: str | None = None
    extractor: str | None = None
    id: str | None = None
    duration: float | None = None
    """Seconds."""
    language: str | None = None
    description: str | None = None
    uploader_url: str | None = None
    tags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    view_count: int | None = None
    age_limit: int | None = None
    """Years."""


@dataclass(frozen=True)
class DownloadedVideo:
    """A video on this machine."""

    path: Path
    tracks: tuple[Track, ...] = ()
    """Subtitle files that came with it."""
    metadata: VideoMetadata = VideoMetadata()
