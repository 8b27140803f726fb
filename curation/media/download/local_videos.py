"""Local video files as sources, with the subtitle files beside them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from curation.media.download.downloaded_video import DownloadedVideo, VideoMetadata
from curation.media.subtitles.subtitle_tracks import Track
from curation.sources.ledger import SourceFailed

SUBTITLE_SUFFIXES: Final = (".vtt", ".srt", ".json3")


def is_url(source: str) -> bool:
    """Return True if a source is a URL (``scheme://…``), False if it is a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source) is not None


def open_local(source: str) -> DownloadedVideo:
    """Return a local file and the subtitle files beside it (``x.vtt``, ``x.en.srt``, ``x.en.auto.json3``).

    Raises:
        SourceFailed: `removed`, if the file does not exist.
    """
    path = Path(source)
    if not path.is_file():
        raise SourceFailed("removed", f"{source}: no such file")
    return DownloadedVideo(path, _sidecars(path), VideoMetadata(title=path.stem, extractor="file", id=path.name))


def _sidecars(video: Path) -> tuple[Track, ...]:
    """Return the subtitle files with the video's stem, in the order of their names."""
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
