"""The identity of a URL: ``extractor:id`` if yt-dlp can tell it from the URL alone, otherwise the normalised URL.

Nothing here touches the network. URLs of the same video get the same keys, on any machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

_YOUTUBE: Final = re.compile(
    r"https?://(?:(?:www|m|music)\.)?"
    r"(?:youtube(?:-nocookie)?\.com/(?:watch/?\?(?:[^#]*&)?v=|shorts/|live/|embed/|v/)|youtu\.be/)"
    r"(?!videoseries|live_stream)([0-9A-Za-z_-]{11})(?![0-9A-Za-z_-])",
    re.IGNORECASE,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def url_id(url: str) -> str:
    """Return the canonical id of a URL: ``youtube:dQw4w9WgXcQ``, ``vimeo:76979871``, otherwise the normalised URL.

    YouTube is recognised without yt-dlp, because lists of a million of its URLs are common. Other sites are looked up
    among yt-dlp's extractors.
    """
    youtube = _YOUTUBE.match(url)
    if youtube is not None:
        return f"youtube:{youtube[1]}"
    name, id_ = _extractor_id(url)
    return f"{name}:{id_}" if id_ is not None else normalised(url)


def normalised(url: str) -> str:
    """Return a URL with scheme and host in lower case, without default port and fragment, and with a path."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme.lower())) else f":{parts.port}"
    return urlunsplit((parts.scheme.lower(), host + port, parts.path or "/", parts.query, ""))


def _extractor_id(url: str) -> tuple[str, str | None]:
    """Return name and id from the first of yt-dlp's extractors that accepts the URL; None if the URL holds no id."""
    lowered = url.lower()
    for needed, extractor in _extractors():
        if needed is not None and not any(text in lowered for text in needed):
            continue
        if extractor.suitable(url):
            return _id_of(extractor, url)
    return "generic", None


def _id_of(extractor: Any, url: str) -> tuple[str, str | None]:
    name = str(extractor.ie_key()).lower()
    if name == "generic":
        return name, None
    try:
        id_ = extractor.get_temp_id(url)
    except (IndexError, AttributeError, TypeError):  # its pattern has no group for an id
        id_ = None
    return name, str(id_) if id_ else None


@cache
def _extractors() -> list[tuple[tuple[str, ...] | None, Any]]:
    """Return yt-dlp's extractors in its order, each with texts of which a URL must hold one; None: match its pattern.

    Matching all 1,750 patterns takes 6 ms per URL; a plain search for the name of the site rules most of them out.
    """
    from yt_dlp.extractor import gen_extractor_classes

    classes = list(gen_extractor_classes())
    usual = _matcher(classes[-1])  # the generic extractor matches as the base class does
    return [(_needed_texts(c) if _matcher(c) is usual else None, c) for c in classes]


def _matcher(extractor: Any) -> Callable[..., Any]:
    function: Callable[..., Any] = extractor.suitable.__func__
    return function


def _needed_texts(extractor: Any) -> tuple[str, ...] | None:
    patterns = extractor._VALID_URL
    if not patterns:
        return ()
    texts = tuple(longest_literal(pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns))
    return texts if all(texts) else None


def longest_literal(pattern: str) -> str:
    r"""Return the longest text, in lower case, that every match of a regular expression contains; "" if there is none.

    ``https?://(?:www\.)?example\.org/v/(?P<id>\d+)`` gives ``example.org/v/``.
    """
    return max(_literals(_parser.parse(pattern)), key=len, default="").lower()


def _literals(items: Iterable[tuple[Any, Any]]) -> list[str]:
    """Return every run of letters that a parsed pattern requires: at its top, in its groups, and in its repeats."""
    runs = [""]
    for operation, argument in items:
        name = str(operation)
        if name == "LITERAL":
            runs[-1] += chr(argument)
        elif name == "SUBPATTERN":
            runs += [*_literals(argument[3]), ""]
        elif name in ("MAX_REPEAT", "MIN_REPEAT") and argument[0] > 0:
            runs += [*_literals(argument[2]), ""]
        else:
            runs.append("")
    return runs
