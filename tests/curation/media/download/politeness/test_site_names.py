"""Hosts of one site have one name."""

import pytest

from curation.media.download.politeness.site_names import site_of


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.youtube.com/watch?v=a", "youtube.com"),
        ("https://m.YouTube.com/watch?v=a", "youtube.com"),
        ("https://youtu.be/a", "youtube.com"),
        ("https://www.youtube-nocookie.com/embed/a", "youtube.com"),
        ("https://player.vimeo.com/video/1", "vimeo.com"),
        ("https://cdn.example.org:8443/a.mp4", "cdn.example.org"),
        ("https://m.example.org/a", "example.org"),
    ],
)
def test_hosts_of_one_site_share_its_pace_and_its_refusals(url: str, site: str) -> None:
    assert site_of(url) == site
