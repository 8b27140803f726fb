"""The ways to reach a site: pairs of a cookies file and a proxy. Which one is used is decided by the pacer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.media.download.download_settings import DownloadSettings


@dataclass(frozen=True)
class AccessPool:
    """Cookies files and proxies; the shorter list is repeated, so that each of both is used."""

    cookies: Sequence[str] = ()
    proxies: Sequence[str] = ()

    @classmethod
    def of(cls, settings: DownloadSettings) -> AccessPool:
        """Return the pool that the settings name."""
        return cls(settings.cookies, settings.proxies)

    @property
    def count(self) -> int:
        """Number of accesses; one without cookies and proxy if the pool is empty."""
        return max(len(self.cookies), len(self.proxies), 1)

    def options(self, access: int) -> Mapping[str, Any]:
        """Return yt-dlp's options for one access."""
        options: dict[str, Any] = {}
        if self.cookies:
            options["cookiefile"] = self.cookies[access % len(self.cookies)]
        if self.proxies:
            options["proxy"] = self.proxies[access % len(self.proxies)]
        return options

    def proxy_name(self, access: int) -> str:
        """Return a name of an access's proxy for people, without secrets: its number in the list."""
        return f"proxy {access % len(self.proxies) + 1}" if self.proxies else "no proxy"
