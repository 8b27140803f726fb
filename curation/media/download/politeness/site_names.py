"""Names of sites: the unit of pacing, of refusals and of figures."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_SAME_SITE: Final = {
    "youtu.be": "youtube.com",
    "youtube-nocookie.com": "youtube.com",
    "music.youtube.com": "youtube.com",
    "player.vimeo.com": "vimeo.com",
}


def site_of(url: str) -> str:
    """Return the name of the site of a URL: its host, the same for all hosts of one site that are known as such."""
    host = (urlsplit(url).hostname or "").lower()
    host = host.removeprefix("www.").removeprefix("m.")
    return _SAME_SITE.get(host, host)
