"""Refuses a download that turns out to be a video that was removed on request: its URL led to another page."""

from __future__ import annotations

from collections.abc import Collection

from curation.media.download.downloaded_video import DownloadedVideo
from curation.sources.ledger import SourceFiltered
from curation.sources.url_identity import url_id
from shards.keys import video_id
from shards.removal.tombstones import REMOVED_CLASS


def refuse_removed(video: DownloadedVideo, removed: Collection[str]) -> None:
    """Refuse a video whose page has the id of a removed one. A URL that names it was refused before any work.

    Args:
        video: the download.
        removed: of `shards.removal.tombstones.removed_ids`.

    Raises:
        SourceFiltered: it was removed on request.
    """
    page = video.metadata.webpage_url
    if removed and page and video_id(url_id(page)) in removed:
        raise SourceFiltered(REMOVED_CLASS, "the URL leads to a video that was removed on request")
