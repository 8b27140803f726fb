"""Playlists, channels and pages with several videos are expanded into their videos when a run is planned."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.downloads import quick_settings
from support.video_server import VideoServer

from curation.media.download.playlists import expand_playlist, expand_playlists, is_playlist
from curation.sources.inputs import Source
from curation.sources.ledger import SourceFailed
from curation.sources.url_identity import url_id
from shards.keys import video_id


def _source(url: str, **carried: object) -> Source:
    return Source(url, video_id(url_id(url)), None, None, carried, True, url_id(url))


@pytest.mark.parametrize(
    ("url", "known", "all_"),
    [
        ("https://www.youtube.com/playlist?list=PLrAXtmErZgOeiKm4sgNOknGvNjby9efdf", True, True),
        ("https://www.youtube.com/@MIT", True, True),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ&list=PLrAXtmErZgOeiKm4sgNOknGvNjby9efdf", False, False),
        ("https://vimeo.com/76979871", False, False),
        ("https://vimeo.com/album/2632481", True, True),
        ("https://example.org/page.html", False, True),
    ],
)
def test_the_url_alone_tells_a_list_where_yt_dlp_knows_the_site(url: str, known: bool, all_: bool) -> None:
    source = _source(url)
    assert is_playlist(source, quick_settings()) == known
    assert is_playlist(source, quick_settings(playlists="all")) == all_
    assert not is_playlist(source, quick_settings(playlists="none"))


def test_a_span_and_a_file_are_no_lists() -> None:
    settings = quick_settings(playlists="all")
    page = _source("https://example.org/page.html")
    assert not is_playlist(replace(page, start=1.0), settings)
    assert not is_playlist(Source("/videos/a.mp4", "0" * 16), settings)


@pytest.mark.slow
def test_the_videos_of_a_page_take_its_place_and_carry_its_title(site: VideoServer) -> None:
    page, other = _source(site.url("two.html"), topic="balls"), _source("https://vimeo.com/76979871")
    settings = quick_settings(playlists="all")
    found = list(expand_playlists([page, other], settings))
    assert [source.source for source in found] == [site.url("plain.mp4"), site.url("picture.mp4"), other.source]
    assert found[0].carried == {"topic": "balls", "playlist": "Two"}
    assert found[0].video_id == _source(site.url("plain.mp4")).video_id
    assert site.paths() == ["/two.html"], "no video is looked at"


@pytest.mark.slow
def test_a_feed_is_cut_at_the_limit(site: VideoServer) -> None:
    playlist = expand_playlist(site.url("episodes.xml"), quick_settings(playlist_limit=3))
    assert [video.url for video in playlist.videos] == [f"http://a.example/{n}.mp4" for n in range(3)]


@pytest.mark.slow
def test_a_list_that_can_not_be_read_stays_a_source(site: VideoServer) -> None:
    settings = quick_settings(playlists="all", allow_private_addresses=[])
    page = _source(site.url("two.html"))
    with pytest.raises(SourceFailed, match="private address"):
        expand_playlist(page.source, settings)
    assert site.paths() == []
    assert list(expand_playlists([page], quick_settings(playlists="none"))) == [page]
