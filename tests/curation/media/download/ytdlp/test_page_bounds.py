"""A page that is endless, huge, or built so that a search through it never ends costs a source and nothing else."""

import resource
import time

import pytest
from support.downloads import Fetcher
from support.video_server import VideoServer

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("page", ["many.html", "frames.html", "feed.xml", "many.m3u8"])
def test_a_page_with_thousands_of_elements_is_no_video(fetch: Fetcher, site: VideoServer, page: str) -> None:
    failed = fetch.failure(site.url(page))
    assert failed.class_ == "not_video"
    assert "media elements" in failed.message


@pytest.mark.parametrize("page", ["endless.html", "bomb.html"])
def test_a_page_without_an_end_is_read_up_to_the_bound(fetch: Fetcher, site: VideoServer, page: str) -> None:
    before = _largest_child_mib()
    failed = fetch.failure(site.url(page), max_page_bytes=1 << 20)
    assert (failed.class_, "download.max_page_bytes" in failed.message) == ("not_video", True)
    assert _largest_child_mib() <= max(before, 1000)  # other tests' children count, too


def test_a_search_that_python_can_not_interrupt_is_ended(fetch: Fetcher, site: VideoServer) -> None:
    began = time.monotonic()
    failed = fetch.failure(site.url("slow.html"), page_cpu_seconds=5, retries=3)
    assert (failed.class_, "download.page_cpu_seconds" in failed.message) == ("not_video", True)
    assert time.monotonic() - began < 60


def test_the_download_itself_has_no_bound_on_cpu_time(fetch: Fetcher, site: VideoServer) -> None:
    assert fetch(site.url("page.html"), page_cpu_seconds=30).path.is_file()
    assert fetch(site.url("hls/index.m3u8"), page_cpu_seconds=30).path.is_file()


def _largest_child_mib() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
