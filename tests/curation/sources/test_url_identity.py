"""Canonical ids of URLs."""

from __future__ import annotations

import pytest
from support.source_files import YOUTUBE

from curation.sources.url_identity import (
    _extractor_id,
    _extractors,
    _id_of,
    longest_literal,
    normalised,
    url_id,
)


@pytest.mark.parametrize(
    "url",
    [
        YOUTUBE,
        "http://youtube.com/watch?v=dQw4w9WgXcQ&t=42s",
        "https://m.youtube.com/watch?list=PLx&v=dQw4w9WgXcQ&index=3",
        "https://youtu.be/dQw4w9WgXcQ?si=abc",
        "https://www.youtube.com/shorts/dQw4w9WgXcQ",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ#x",
    ],
)
def test_one_youtube_video_has_one_id_however_it_is_written(url: str) -> None:
    assert url_id(url) == "youtube:dQw4w9WgXcQ"


def test_other_sites_are_recognised_by_yt_dlp_and_unknown_ones_keep_their_url() -> None:
    assert url_id("https://vimeo.com/76979871") == url_id("http://www.vimeo.com/76979871") == "vimeo:76979871"
    assert url_id("HTTPS://Example.ORG:443/a.mp4?x=1#t=3") == "https://example.org/a.mp4?x=1"


def test_a_playlist_is_not_taken_for_a_video() -> None:
    assert "videoseries" not in url_id("https://www.youtube.com/embed/videoseries?list=PLBB231211A4F62143")


@pytest.mark.parametrize(
    "url",
    [
        "https://www.dailymotion.com/video/x5kesuj",
        "https://archive.org/details/Cops1922",
        "https://www.bbc.co.uk/iplayer/episode/b03qqtm1",
        "https://example.org/video/3",
        "https://peertube.social/videos/watch/9c9de5e8-0a1e-484a-b099-e80766180a6d",
    ],
)
def test_ruling_extractors_out_by_text_gives_the_same_as_asking_each(url: str) -> None:
    first = next(extractor for _, extractor in _extractors() if extractor.suitable(url))
    assert _extractor_id(url) == _id_of(first, url)


def test_the_longest_literal_is_contained_in_every_match_of_a_pattern() -> None:
    assert longest_literal(r"https?://(?:www\.)?example\.org/v/(?P<id>\d+)") == "example.org/v/"
    assert longest_literal(r"(?:abc|d)+e?") == ""


def test_a_youtube_url_is_recognised_without_yt_dlp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.sources.url_identity._extractors", lambda: pytest.fail("yt-dlp was asked"))
    assert url_id(YOUTUBE) == "youtube:dQw4w9WgXcQ"


def test_ipv6_hosts_keep_their_brackets() -> None:
    assert normalised("http://[2001:DB8::1]:80/x") == "http://[2001:db8::1]/x"
