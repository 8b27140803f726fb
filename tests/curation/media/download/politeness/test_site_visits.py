"""Downloads as visits to sites: a wall is asked no more than the limit, and a pool of proxies is used in turn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support.downloads import quick_settings
from support.video_server import VideoServer, closed_port, video_server

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.downloader import check_options, download
from curation.media.download.politeness.site_traffic import site_figures, unreachable_proxies
from curation.media.download.politeness.site_visits import SiteVisits
from curation.sources.ledger import SourceFailed, SourcePostponed
from runtime.errors import UserError

pytestmark = pytest.mark.slow


def _end(url: str, settings: DownloadSettings, scratch: Path, visits: SiteVisits) -> str:
    """Download a URL, and return how that ended."""
    scratch.mkdir()
    try:
        download(url, settings, scratch, visits)
    except SourceFailed as end:
        return end.class_
    except SourcePostponed:
        return "postponed"
    return "written"


def test_a_wall_of_403s_is_asked_no_more_than_the_limit_and_its_requests_are_counted(
    site: VideoServer, tmp_path: Path
) -> None:
    site.walled = True
    settings = quick_settings(postpone_after=2, backoff=0)
    visits = SiteVisits.on_this_machine(settings, "run")
    ends = [_end(site.url(f"wall/{n}.mp4"), settings, tmp_path / f"scratch{n}", visits) for n in range(4)]
    assert ends == ["bot_check"] * 2 + ["postponed"] * 2
    assert {path for path in site.paths() if "/wall/" in path} == {"/wall/0.mp4", "/wall/1.mp4"}
    (figures,) = site_figures(visits.traffic.take())
    assert (figures.site, figures.requests, figures.refused) == ("127.0.0.1", len(site.requests), 2)
    assert figures.opened == 1, "its other sources were postponed once"


def test_proxies_and_cookies_take_turns_and_a_proxy_that_is_gone_is_left_out_and_named_without_its_secret(
    site: VideoServer, videos: Path, tmp_path: Path
) -> None:
    url = "http://example.org/plain.mp4"  # the proxies are asked for it, and serve their own file
    with video_server(videos) as other, closed_port() as gone:
        settings = quick_settings(
            proxies=[f"http://{site.host}", f"http://{other.host}", f"http://me:hunter2@127.0.0.1:{gone}"],
            cookies=[_cookies(tmp_path, "one"), _cookies(tmp_path, "two")],
            retries=1,
        )
        visits = SiteVisits.on_this_machine(settings)
        ends = Counter(_end(url, settings, tmp_path / f"scratch{n}", visits) for n in range(3))
    assert ends == {"written": 3}
    sent = [{headers.get("Cookie") for _, _, headers in proxy.requests} for proxy in (site, other)]
    assert sent == [{"token=one"}, {"token=two"}]
    counts = visits.traffic.take()
    assert unreachable_proxies(counts) == {"proxy 3": 1}
    (figures,) = site_figures(counts)
    assert figures.requests == len(site.requests) + len(other.requests) + 1
    assert figures.received >= 3 * (videos / "plain.mp4").stat().st_size
    assert visits.traffic.take() == {}
    assert "hunter2" not in f"{settings!r} {settings.model_dump_json()}"


def _cookies(folder: Path, token: str) -> str:
    file = folder / f"{token}.txt"
    file.write_text(f"# Netscape HTTP Cookie File\nexample.org\tFALSE\t/\tFALSE\t4102444800\ttoken\t{token}\n")
    return str(file)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cookies": ["/none/cookies.txt"]}, "media.download.cookies=/none/cookies.txt: no such file"),
        ({"proxies": ["http://p:1"], "yt_dlp": {"proxy": "http://q:1"}}, "media.download.proxies: can't be set beside"),
    ],
)
def test_a_pool_is_checked_before_work_starts(values: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_options(quick_settings(**values))


def test_what_is_no_proxy_is_refused_without_being_shown() -> None:
    with pytest.raises(UserError, match="number 2 is no URL of a proxy") as error:
        quick_settings(proxies=["http://p:1", "me:hunter2@p"])
    assert "hunter2" not in str(error.value)
