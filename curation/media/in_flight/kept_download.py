"""Download a video once: a finished download is kept in scratch until the sources that need it are finished."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.downloaded_video import DownloadedVideo
from curation.media.download.downloader import download
from curation.media.download.local_videos import is_url, open_local
from curation.media.download.politeness.site_visits import SiteVisits
from curation.media.in_flight.recorded_folder import MadeFrom, finish_folder, read_folder
from curation.sources.source_rows import SourceRow

_DOWNLOAD: Final = TypeAdapter(DownloadedVideo)


def fetch(row: SourceRow, settings: DownloadSettings, work: Path, kept: Path, visits: SiteVisits) -> DownloadedVideo:
    """Return a video: a local file from its place, a URL from `kept` if it is there, otherwise from its site.

    Args:
        row: a source that is a span of it.
        settings: how to download it.
        work: folder for the download in progress, on the file system of `kept`; it must not exist.
        kept: folder for the finished download.
        visits: the worker's visits to sites.

    Raises:
        Exception: as `curation.media.download.downloader.download`.
    """
    if not is_url(row.source):
        return open_local(row.source)
    made_from = {"video": row.video_id}
    video = _read(kept, made_from)
    if video is None:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        finish_folder(work, kept, download(row.source, settings, work, visits), made_from)
        video = _read(kept, made_from)
        assert video is not None, f"{kept}: was finished a moment ago"
    return video


def _read(kept: Path, made_from: MadeFrom) -> DownloadedVideo | None:
    video = read_folder(kept, _DOWNLOAD, made_from)
    if video is None:
        return None
    tracks = tuple(replace(track, path=kept / track.path) for track in video.tracks)
    return replace(video, path=kept / video.path, tracks=tracks)
