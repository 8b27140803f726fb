"""Local video files as sources, with the subtitle files beside them."""

from __future__ import annotations

import bisect
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from curation.media.download.downloaded_video import DownloadedVideo, VideoMetadata
from curation.media.subtitles.subtitle_tracks import Track
from curation.sources.ledger import SourceFailed
from shards.storage.files import file_sha256

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


def sidecar_digests(videos: Iterable[str]) -> dict[str, str]:
    """Return sixteen hex digits over the names and bytes of the subtitle files beside each video that has some.

    A video that is missing, or whose folder can't be read, is left out.
    """
    digests: dict[str, str] = {}
    for video in dict.fromkeys(videos):
        path = Path(video)
        try:
            digest = hashlib.sha256()
            tracks = _sidecars(path) if path.is_file() else ()
            for track in tracks:
                digest.update(f"{track.path.name}\0{file_sha256(track.path)}\n".encode())
        except OSError:
            continue
        if tracks:
            digests[video] = digest.hexdigest()[:16]
    return digests


def _beginning_with(names: Sequence[str], stem: str) -> Sequence[str]:
    """Return the names that begin with `stem`, of a sorted list."""
    first = last = bisect.bisect_left(names, stem)
    while last < len(names) and names[last].startswith(stem):
        last += 1
    return names[first:last]


def _sidecars(video: Path) -> tuple[Track, ...]:
    """Return the subtitle files with the video's stem, in the order of their names."""
    names = _names_in(video.parent, video.parent.stat().st_mtime_ns)
    return _tracks_among(video, _beginning_with(names, video.stem))


@lru_cache(maxsize=4)
def _names_in(folder: Path, changed_ns: int) -> Sequence[str]:
    """Return the names in a folder, sorted: one listing for all videos there, until its time of change is another."""
    return sorted(os.listdir(folder))  # noqa: PTH208  names only


def _tracks_among(video: Path, names: Sequence[str]) -> tuple[Track, ...]:
    pattern = re.compile(re.escape(video.stem) + r"(?:\.([A-Za-z]{2,3}(?:[-_]\w+)*))??(\.auto)?")
    tracks = []
    for path in map(video.with_name, names):
        match = pattern.fullmatch(path.stem) if path.suffix.lower() in SUBTITLE_SUFFIXES else None
        if match is not None and path.is_file():
            format_ = path.suffix.lower().removeprefix(".")
            tracks.append(Track(path, match[1], "auto" if match[2] else "manual", format_))
    return tuple(tracks)
