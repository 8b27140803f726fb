"""Settings of the downloader, and the secrets among them.

Options of yt-dlp are passed on if `curation.media.download.ytdlp.ytdlp_allowed` has them. Passwords, tokens and headers
among them never reach a hash, a log, a manifest or a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, field_serializer, field_validator

from curation.media.download.politeness.pace_limits import Rotation
from curation.media.download.ytdlp.ytdlp_allowed import check_allowed, plain_name, with_absolute_paths
from curation.sources.address_guard import EVERYWHERE, parse_network
from runtime import retry_limits
from runtime.errors import UserError
from runtime.language_tags import LanguageTag
from runtime.settings import Runtime, Settings

COOKIE_FILES: Final = ("cookiefile", "cookies")
"""The two names of yt-dlp's option for a cookies file."""

_SECRET: Final = re.compile(r"pass(word|wd)?$|username|twofactor|headers?$|extractor.args|client.certificate|netrc.cmd")
_TRANSPORT: Final = re.compile(
    r"prox(y|ies)|cookie|netrc|sleep|rate.?limit|force.?ip|source.address|impersonate|user.agent|referer|timeout"
    r"|retries|retry|fragment|buffer|chunk|cache|certificate|js.runtimes|remote.components|verbose|quiet|legacy"
)
_PROXY: Final = re.compile(r"(https?|socks[45][ah]?)://[^/\s]+/?$", re.IGNORECASE)
_USERINFO: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class DownloadSettings(Settings):
    """Settings of the download."""

    height: int = Field(default=480, ge=64)
    """Short side of the format to download: the largest up to this, otherwise the smallest above it."""
    languages: tuple[LanguageTag, ...] = ("en",)
    """Languages of the site subtitles to download (`en` includes `en-US`) where the site does not tell which language
    is spoken; empty: all. Otherwise only subtitles in the spoken language are downloaded: others are translations."""
    format: str = "bv*+ba/b/bv*"
    """yt-dlp's format selector, sorted by `height`."""
    max_bytes: int = Field(default=8 * 2**30, gt=0)
    """Largest video in bytes; larger ones are filtered as `too_long`."""
    max_duration: float = Field(default=4 * 3600.0, gt=0)
    """Longest video in seconds; if the site states a longer duration, the video is filtered as `too_long`. The limit
    is on the whole video, even if only a span of it is requested."""
    yt_dlp: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Options of yt-dlp on how to reach a site and which format to prefer, by their Python or command-line name:
    `cookies: FILE`, `proxy: URL`, …; all others are refused."""
    socket_timeout: Runtime[float] = Field(default=retry_limits.DOWNLOAD_SOCKET_TIMEOUT.seconds, gt=0)
    """Seconds without a byte after which a connection is closed."""
    stall_seconds: Runtime[float] = Field(default=retry_limits.DOWNLOAD_STALL_SECONDS.seconds, gt=0)
    """A download that receives less than `min_bytes_per_second` over this many seconds is stopped."""
    min_bytes_per_second: Runtime[float] = Field(default=1000.0, ge=0)
    """Slowest download that is allowed, see `stall_seconds`."""
    max_page_bytes: Runtime[int] = Field(default=retry_limits.PAGE_BYTES.count, gt=0)
    """Largest page, feed or playlist in bytes; a source with a larger one fails as `not_video`."""
    page_cpu_seconds: Runtime[float] = Field(default=retry_limits.PAGE_CPU_SECONDS.seconds, gt=0)
    """CPU time in seconds for the pages of one source; a source that needs more fails as `not_video`."""
    time_limit: Runtime[float] = Field(default=retry_limits.DOWNLOAD_TIME_LIMIT.seconds, gt=0)
    """Time limit in seconds for all attempts at one source together."""
    retries: Runtime[int] = Field(default=retry_limits.DOWNLOAD_RETRIES.count, ge=0)
    """Further attempts after a transient failure."""
    backoff: Runtime[float] = Field(default=retry_limits.DOWNLOAD_BACKOFF.seconds, ge=0)
    """Seconds before the second attempt; doubled each time, with jitter. A site's `Retry-After` is used instead."""
    max_wait: Runtime[float] = Field(default=retry_limits.DOWNLOAD_MAX_WAIT.seconds, ge=0)
    """Longest wait for a site in seconds; a source whose site asks for a longer one fails as `rate_limited`."""
    postpone_after: Runtime[int] = Field(default=retry_limits.DOWNLOAD_POSTPONE_AFTER.count, ge=0)
    """Sources of one site that fail as `bot_check` or `rate_limited` in a row, after which its other sources are not
    tried but stay pending; after as many sites in a row, all sources do. Counted for each address: a machine's or a
    proxy's. A long run tries one source of the site now and then, and goes on when it is answered. 0: never."""
    host_interval: Runtime[float] = Field(default=1.0, ge=0)
    """Least seconds between two starts at the same site, over all workers of a run on all machines."""
    host_concurrency: Runtime[int] = Field(default=4, ge=1)
    """Simultaneous downloads from the same site, over all workers of a run on all machines."""
    host_requests_per_minute: Runtime[float] = Field(default=0.0, ge=0)
    """Budget of requests a minute at the same site, over all workers of a run on all machines: pages, files and
    segments of files. 0: no limit."""
    cookies: Runtime[tuple[str, ...]] = ()
    """Cookies files in Netscape format, used in turn."""
    proxies: Runtime[tuple[str, ...]] = Field(default=(), repr=False)
    """URLs of proxies (http, https, socks4, socks5), used in turn; the k-th goes with the k-th of `cookies`, and the
    shorter list is repeated. One that a site refuses rests, and one that can't be reached is left out for a while."""
    rotation: Runtime[Rotation] = "round_robin"
    """`round_robin`: each cookies file and proxy in its turn; `by_site`: the same one for a site while it serves."""
    playlists: Runtime[Literal["known", "all", "none"]] = "known"
    """URLs that are expanded into the videos of their list: those that yt-dlp knows as playlists or channels; `all`:
    also pages of sites that it doesn't know, which are looked at one by one; `none`: a list fails as `not_video`."""
    playlist_limit: Runtime[int] = Field(default=1000, ge=1)
    """Most videos that are taken from one list, in its order."""
    archive: Runtime[str | None] = None
    """File that `yt-dlp --download-archive` has written; its videos are filtered as `excluded`."""
    allow_private_addresses: Runtime[tuple[str, ...]] = ()
    """Networks (CIDR) to which connections are allowed although they are not public; `true`: all."""
    allow_schemes: Runtime[tuple[str, ...]] = ()
    """URL schemes that are allowed besides http and https."""

    @field_validator("allow_private_addresses", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return EVERYWHERE if value else ()
        values = [value] if isinstance(value, str) else value
        return tuple(str(parse_network(item)) for item in values)

    @field_validator("cookies", mode="after")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(Path(name).expanduser().absolute()) for name in value)  # workers run in other folders

    @field_validator("proxies")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, url in enumerate(value, 1):
            if not _PROXY.match(url):  # no ValueError, whose message would show the value and its secrets
                raise UserError(f"media.download.proxies: number {number} is no URL of a proxy (http, https, socks5)")
        return value

    @field_serializer("proxies")
    def _without_users(self, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_USERINFO.sub("***", url) for url in value)

    @field_validator("yt_dlp")
    @classmethod
    def _allowed(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_allowed(value)  # no ValueError, whose message would show the value and its secrets
        return with_absolute_paths(value)

    @field_serializer("yt_dlp")
    def _without_secrets(self, value: dict[str, Any]) -> dict[str, Any]:
        secrets = _secrets(value)
        return {
            name: "***" if _is_secret(name) else _redacted(item, secrets) if isinstance(item, str) else item
            for name, item in value.items()
        }

    def content(self) -> dict[str, Any]:
        """Return the settings that decide the content; yt-dlp options on how to reach a site are left out."""
        of_content = {name: item for name, item in self.yt_dlp.items() if not _is_transport(name)}
        return super().content() | {"yt_dlp": json.loads(json.dumps(of_content, default=str))}


def redact(text: str, settings: DownloadSettings) -> str:
    """Return `text` without the settings' secrets and without user names and passwords in URLs."""
    pool = {f"proxy {number}": url for number, url in enumerate(settings.proxies)}
    return _redacted(text, _secrets({**settings.yt_dlp, **pool}))


def _is_secret(name: str) -> bool:
    return _SECRET.search(plain_name(name)) is not None


def _is_transport(name: str) -> bool:
    return _is_secret(name) or _TRANSPORT.search(plain_name(name)) is not None


def _redacted(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return _USERINFO.sub("***", text)


def _secrets(options: Mapping[str, Any]) -> list[str]:
    """Return every secret text among yt-dlp's options, longest first."""
    texts: set[str] = set()
    for name, value in options.items():
        if _is_secret(name):
            texts.update(_leaves(value))
        elif "prox" in name and isinstance(value, str) and "@" in value:
            user = value.rpartition("@")[0].rpartition("://")[2]
            texts.update({user, user.partition(":")[2]})
    return sorted((text for text in texts if len(text) >= 4), key=len, reverse=True)


def _leaves(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [str(value)]
