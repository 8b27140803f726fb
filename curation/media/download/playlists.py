"""Playlists and channels among the sources: expanded into their videos when a run is planned.

Whether a URL is a list is told by yt-dlp's extractor for it, without a request. A list that can't be read stays a
source, so that its failure has a row in the ledger.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from curation.media.download.download_settings import DownloadSettings, redact
from curation.media.download.downloader import check_options
from curation.media.download.fetch_attempt import attempt_fetch, fetch_request
from curation.media.download.politeness.site_names import site_of
from curation.media.download.politeness.site_visits import SiteVisits
from curation.media.download.ytdlp.fetch_request import ListedVideo
from curation.media.download.ytdlp.playlist_entries import makes_lists
from curation.sources.inputs import Source, read_inputs
from curation.sources.ledger import SourceFailed
from curation.sources.url_identity import url_id
from runtime.log import get_logger
from shards.keys import video_id

_log = get_logger(__name__)
_CARRIED: Final = "playlist"
"""The carried column with the title of the list that a source is from."""


@dataclass(frozen=True)
class Playlist:
    """A list of videos at a site."""

    title: str | None
    videos: tuple[ListedVideo, ...]


def read_sources(
    inputs: Sequence[str], settings: DownloadSettings, *, cache: Path | None, ignored: Counter[str] | None = None
) -> list[Source]:
    """Return the sources that `--input` arguments name, with the videos of each list in its place.

    Args:
        inputs: as `curation.sources.inputs.read_inputs` takes them, with `cache` and `ignored`.
        settings: the addresses and schemes that are allowed, and how lists are read.
        cache: see there.
        ignored: see there.

    Raises:
        UserError: as `read_inputs` and `expand_playlists`.
        StorageError: the store of a list failed.
    """
    found = read_inputs(
        inputs,
        allow_schemes=settings.allow_schemes,
        allow_addresses=settings.allow_private_addresses,
        cache=cache,
        ignored=ignored,
    )
    return list(expand_playlists(found, settings))


def expand_playlists(sources: Iterable[Source], settings: DownloadSettings) -> Iterator[Source]:
    """Yield the sources, with the videos of a list in the list's place; each carries the title of the list.

    Raises:
        UserError: yt-dlp does not accept an option of the settings.
    """
    for source in sources:
        if not is_playlist(source, settings):
            yield source
            continue
        check_options(settings)
        try:
            playlist = expand_playlist(source.source, settings)
        except SourceFailed as reason:
            _log.warning("%s: the list can't be read (%s): %s", source.source, reason.class_, reason.message)
            yield source
            continue
        for video in playlist.videos:
            canonical = url_id(video.url)
            carried = {**source.carried, _CARRIED: playlist.title} if playlist.title else source.carried
            yield replace(source, source=video.url, video_id=video_id(canonical), canonical=canonical, carried=carried)


def is_playlist(source: Source, settings: DownloadSettings) -> bool:
    """Return True if a source is to be expanded: it is no span, and its URL names a list as far as that can be told."""
    if settings.playlists == "none" or not source.is_url or source.start is not None or source.end is not None:
        return False
    extractor, colon, _ = source.canonical.partition(":")
    if not colon or source.canonical.startswith(("http:", "https:")):  # a page of any kind
        return settings.playlists == "all"
    return extractor != "youtube" and extractor in _list_extractors()


def expand_playlist(url: str, settings: DownloadSettings) -> Playlist:
    """Return the videos of a list, at most `playlist_limit`; one request for each page of the list.

    Raises:
        SourceFailed: the list can't be read, or it has no video.
        MachineError: the disk is full.
    """
    visits = SiteVisits.on_this_machine(settings, postpones=False)
    with tempfile.TemporaryDirectory(prefix="clipgrove-list-") as scratch, visits.visit(site_of(url)) as visit:
        access = visits.accesses.options(visit.access)
        request = fetch_request(url, settings, access, Path(scratch), list_limit=settings.playlist_limit)
        outcome = attempt_fetch(request, settings, settings.time_limit)
        visit.end = replace(visit.end, requests=outcome.requests)
    if outcome.failure is not None:
        raise SourceFailed(outcome.failure.class_, redact(outcome.failure.message, settings))
    title = outcome.metadata.get("title")
    return Playlist(title if isinstance(title, str) else None, tuple(outcome.listed))


@cache
def _list_extractors() -> frozenset[str]:
    """Return the names of yt-dlp's extractors that make lists only, as canonical ids have them."""
    from yt_dlp.extractor import gen_extractor_classes

    return frozenset(each.ie_key().lower() for each in gen_extractor_classes() if makes_lists(each))
