"""Downloads in tests: loopback allowed, no pause between starts, no second attempt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.downloaded_video import DownloadedVideo
from curation.media.download.downloader import download
from curation.sources.ledger import SourceFailed


def quick_settings(**changes: Any) -> DownloadSettings:
    """Return settings that allow loopback and neither pause nor retry, with `changes`."""
    quick = {"allow_private_addresses": ["127.0.0.0/8"], "host_interval": 0, "retries": 0, "backoff": 0.1}
    return DownloadSettings(**(quick | changes))


class Fetcher:
    """Download URLs, each into a scratch folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(self, url: str, **changes: Any) -> DownloadedVideo:
        """Download `url` with `quick_settings(**changes)`."""
        scratch = self._folder / f"scratch{self._count}"
        self._count += 1
        scratch.mkdir()
        return download(url, quick_settings(**changes), scratch)

    def failure(self, url: str, **changes: Any) -> SourceFailed:
        """Download `url`, which must fail, and return the failure."""
        with pytest.raises(SourceFailed) as error:
            self(url, **changes)
        return error.value
