"""Fixtures of the download tests: a video server on loopback, and a downloader with a cache of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.downloads import Fetcher
from support.video_server import VideoServer, make_videos, video_server


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `site` serves."""
    return make_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def site(videos: Path) -> Iterator[VideoServer]:
    """A real HTTP server on loopback."""
    with video_server(videos) as server:
        yield server


@pytest.fixture
def fetch(tmp_path: Path) -> Fetcher:
    """Download a URL into a scratch folder of its own."""
    return Fetcher(tmp_path)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache of its own and no proxy."""
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
