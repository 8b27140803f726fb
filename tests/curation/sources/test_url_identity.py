"""Canonical ids of URLs."""

from __future__ import annotations

import pytest
from support.source_files import YOUTUBE

from curation.sources.url_identity import (
    _extractor_id,
    _id_of,
    needed_texts,
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


def test_ruling_extractors_out_by_text_gives_the_same_as_asking_each() -> None:
    from yt_dlp.extractor import gen_extractor_classes

    classes = list(gen_extractor_classes())
    urls = [test["url"] for extractor in classes[::10] for test in extractor.get_testcases()][::8]
    urls = [url for url in urls if url.startswith("http")] + [
        "https://example.org/video/3",
        "https://yewtu.be/watch?v=x",
    ]
    assert len(urls) > 40
    for url in urls:
        first = next(extractor for extractor in classes if extractor.suitable(url))
        assert _extractor_id(url) == _id_of(first, url), url


def test_of_the_needed_texts_every_match_of_a_pattern_holds_one() -> None:
    (hosts, *_) = needed_texts(r"https?://(?:www\.)?(?:Example\.org|example\.com/v)/(?P<id>\d+)")
    assert hosts == {"example.org", "example.com/v"}
    assert needed_texts(r"(?:abc|\d)+e?") == []


def test_a_youtube_url_is_recognised_without_yt_dlp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.sources.url_identity._extractors", lambda: pytest.fail("yt-dlp was asked"))
    assert url_id(YOUTUBE) == "youtube:dQw4w9WgXcQ"


def test_ipv6_hosts_keep_their_brackets() -> None:
    assert normalised("http://[2001:DB8::1]:80/x") == "http://[2001:db8::1]/x"
