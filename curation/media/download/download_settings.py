"""Settings of the downloader, and what in them is secret.

yt-dlp's own options are passed through; passwords, tokens and headers among them never reach a hash, a log, a
manifest or a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, field_serializer, field_validator

from curation.media.download.address_guard import EVERYWHERE, network
from runtime.errors import UserError
from runtime.settings import Runtime, Settings

COOKIE_FILES: Final = ("cookiefile", "cookies")
"""The two names of yt-dlp's option for a file of cookies."""

_HELD: Final[Mapping[str, str]] = {
    "format": "set download.format",
    "subtitleslangs": "set download.languages",
    "sub_langs": "set download.languages",
    "socket_timeout": "set download.socket_timeout",
    "retries": "set download.retries",
    "max_filesize": "set download.max_bytes",
    "external_downloader": "its connections can't be checked",
    "downloader": "its connections can't be checked",
    "enable_file_urls": "local files are inputs of their own",
    "exec_cmd": "no command is run on what was downloaded",
    "exec": "no command is run on what was downloaded",
    "outtmpl": "files are named by curate",
    "output": "files are named by curate",
    "paths": "files are named by curate",
    "ignoreerrors": "errors end in the ledger",
    "download_archive": "what is done is known from the DIR",
    "skip_download": "set --stages instead",
    "simulate": "use curate plan",
}
"""yt-dlp's options that are ours to set, with the remedy."""

_SECRET: Final = re.compile(r"pass(word|wd)?$|username|twofactor|headers?$|extractor.args|client.certificate|netrc.cmd")
_TRANSPORT: Final = re.compile(
    r"prox(y|ies)|cookie|netrc|sleep|rate.?limit|force.?ip|source.address|impersonate|user.agent|referer|timeout"
    r"|retries|retry|fragment|buffer|chunk|cache|certificate|js.runtimes|remote.components|verbose|quiet|legacy"
)
_USERINFO: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class DownloadSettings(Settings):
    """How sources are fetched."""

    height: int = Field(default=480, ge=64)
    """Shorter side of the format to take: the largest up to this, else the smallest above."""
    languages: tuple[str, ...] = ("en",)
    """Languages of site subtitles to fetch (`en` takes `en-US` too); empty: all that are not translated."""
    format: str = "bv*+ba/b/bv*"
    """yt-dlp's format selector, sorted by `height`."""
    max_bytes: int = Field(default=8 * 2**30, gt=0)
    """Larger videos are `too_long`."""
    max_duration: float = Field(default=4 * 3600.0, gt=0)
    """Seconds; longer videos, where the site says so beforehand, are `too_long`. Holds for the whole video also
    where only a span of it is asked for."""
    yt_dlp: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Any other yt-dlp option under its Python or its command-line name: `cookies: FILE`, `proxy: URL`, …"""
    socket_timeout: Runtime[float] = Field(default=20.0, gt=0)
    """Seconds without a byte after which a connection is given up."""
    stall_seconds: Runtime[float] = Field(default=60.0, gt=0)
    """A download that brings less than `min_bytes_per_second` over this time is stopped."""
    min_bytes_per_second: Runtime[float] = Field(default=1000.0, ge=0)
    """See `stall_seconds`."""
    time_limit: Runtime[float] = Field(default=3600.0, gt=0)
    """Seconds that all attempts at one source may take together."""
    retries: Runtime[int] = Field(default=3, ge=0)
    """Further attempts where trying again may help."""
    backoff: Runtime[float] = Field(default=2.0, ge=0)
    """Seconds before the second attempt; doubled each time, with jitter. A site's `Retry-After` goes before it."""
    max_wait: Runtime[float] = Field(default=300.0, ge=0)
    """Seconds to wait for a site at most: one that asks for more patience ends as `rate_limited`."""
    host_interval: Runtime[float] = Field(default=1.0, ge=0)
    """Seconds between two starts at the same host, over all workers of a machine."""
    host_concurrency: Runtime[int] = Field(default=4, ge=1)
    """Downloads from the same host at a time, over all workers of a machine."""
    allow_private_addresses: Runtime[tuple[str, ...]] = ()
    """Networks (CIDR) that may be connected to though they are not public; `true`: all."""
    allow_schemes: Runtime[tuple[str, ...]] = ()
    """URL schemes besides http and https."""

    @field_validator("allow_private_addresses", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return EVERYWHERE if value else ()
        values = [value] if isinstance(value, str) else value
        return tuple(str(network(item)) for item in values)

    @field_validator("yt_dlp")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            remedy = _HELD.get(_plain_name(name))
            if remedy is not None:  # no ValueError: its message would show the value, with what is secret in it
                raise UserError(f"download.yt_dlp.{name}: can't be set; {remedy}")
        paths = {name: Path(value[name]).expanduser().absolute() for name in COOKIE_FILES if value.get(name)}
        return value | {name: str(path) for name, path in paths.items()}  # workers may run in another folder

    @field_serializer("yt_dlp")
    def _without_secrets(self, value: dict[str, Any]) -> dict[str, Any]:
        secrets = _secrets(value)
        return {
            name: "***" if _is_secret(name) else _redacted(item, secrets) if isinstance(item, str) else item
            for name, item in value.items()
        }

    def content(self) -> dict[str, Any]:
        """See `Settings.content`; of yt-dlp's options those that only say how to reach a site are left out."""
        made_of = {name: item for name, item in self.yt_dlp.items() if not _is_transport(name)}
        return super().content() | {"yt_dlp": json.loads(json.dumps(made_of, default=str))}


def redact(text: str, settings: DownloadSettings) -> str:
    """`text` without the settings' secrets and without user names and passwords in URLs."""
    return _redacted(text, _secrets(settings.yt_dlp))


def _plain_name(name: str) -> str:
    return name.lstrip("-").replace("-", "_").lower()


def _is_secret(name: str) -> bool:
    return _SECRET.search(_plain_name(name)) is not None


def _is_transport(name: str) -> bool:
    return _is_secret(name) or _TRANSPORT.search(_plain_name(name)) is not None


def _redacted(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return _USERINFO.sub("***", text)


def _secrets(options: Mapping[str, Any]) -> list[str]:
    """Every secret text among yt-dlp's options, longest first."""
    found: set[str] = set()
    for name, value in options.items():
        if _is_secret(name):
            found.update(_leaves(value))
        elif "prox" in name and isinstance(value, str) and "@" in value:
            user = value.rpartition("@")[0].rpartition("://")[2]
            found.update({user, user.partition(":")[2]})
    return sorted((text for text in found if len(text) >= 4), key=len, reverse=True)


def _leaves(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [str(value)]
