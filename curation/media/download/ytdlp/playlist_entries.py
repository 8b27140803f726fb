"""The videos of a playlist, a channel or a page, listed without looking at each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from curation.media.download.download_errors import Failure
from curation.media.download.ytdlp.fetch_request import FetchOutcome, FetchRequest, ListedVideo

_DEEPEST: Final = 3
"""A channel has tabs, and a tab has videos; lists that name each other end."""
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)


def list_videos(ydl: Any, request: FetchRequest) -> FetchOutcome:
    """Return the videos of the request's URL, at most `list_limit`; a URL of a single video has itself.

    Args:
        ydl: a client that extracts playlists flat, see `curation.media.download.ytdlp.ytdlp_client`.
        request: names the URL.
    """
    info = ydl.extract_info(request.url, download=False)
    if info.get("_type", "video") == "video":
        return FetchOutcome(listed=[ListedVideo(request.url, _text(info.get("title")))])
    found = {video.url: video for video in islice(_videos(ydl, info, request.url, _DEEPEST), request.list_limit)}
    if not found:
        return FetchOutcome(failure=Failure("not_video", "the URL has no video"))
    return FetchOutcome(listed=list(found.values()), metadata={"title": _text(info.get("title"))})


def makes_lists(extractor: type[Any]) -> bool:
    """Return True if one of yt-dlp's extractors makes lists: playlists, channels, albums."""
    return extractor._RETURN_TYPE == "playlist" or extractor.ie_key() == "YoutubeTab"  # a tab may show a live video


def _videos(ydl: Any, info: Mapping[str, Any], page: str, depth: int) -> Iterator[ListedVideo]:
    """Yield the videos of a list and of the lists in it; what has no address of its own is left out."""
    for entry in filter(None, info.get("entries") or ()):
        if entry.get("_type") in ("playlist", "multi_video"):
            yield from _videos(ydl, entry, page, depth - 1)
        elif entry.get("_type") in ("url", "url_transparent") and depth > 1 and _is_list(ydl, entry):
            yield from _videos(ydl, ydl.extract_info(entry["url"], download=False), page, depth - 1)
        elif (url := _address(entry)) is not None and url != page:
            yield ListedVideo(url, _text(entry.get("title")))


def _is_list(ydl: Any, entry: Mapping[str, Any]) -> bool:
    """Return True if an entry's extractor makes lists only."""
    name = entry.get("ie_key")
    return bool(name) and makes_lists(type(ydl.get_info_extractor(name)))


def _address(entry: Mapping[str, Any]) -> str | None:
    """Return the URL of an entry: its page, or its file where it has no page of its own."""
    formats = [found.get("url") for found in entry.get("formats") or ()]
    named = [entry.get("url"), *reversed(formats)]
    return next((url for url in named if isinstance(url, str) and _WEB.match(url)), None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
