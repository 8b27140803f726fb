"""What a source *is*, however it is written: a video's canonical id from its URL, a file's from its bytes.

``extractor:id`` where yt-dlp can tell it from the URL alone, else the URL itself in one spelling; SHA-256 for local
files. Nothing here touches the network. Sources that are the same video get the same keys, on any machine.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from runtime.failures import HASH_CACHE_SECONDS
from runtime.log import get_logger
from shards.storage.files import file_sha256

_log = get_logger(__name__)

_YOUTUBE: Final = re.compile(
    r"https?://(?:(?:www|m|music)\.)?"
    r"(?:youtube(?:-nocookie)?\.com/(?:watch/?\?(?:[^#]*&)?v=|shorts/|live/|embed/|v/)|youtu\.be/)"
    r"(?!videoseries|live_stream)([0-9A-Za-z_-]{11})(?![0-9A-Za-z_-])",
    re.IGNORECASE,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HASH_THREADS: Final = 8


def url_id(url: str) -> str:
    """The canonical id of a URL: ``youtube:dQw4w9WgXcQ``, ``vimeo:76979871``, else the URL in one spelling.

    YouTube is told without yt-dlp, for lists of a million of its URLs are common; other sites are looked up among
    yt-dlp's extractors.
    """
    youtube = _YOUTUBE.match(url)
    if youtube is not None:
        return f"youtube:{youtube[1]}"
    name, found = _extractor_id(url)
    return f"{name}:{found}" if found is not None else normalised(url)


def normalised(url: str) -> str:
    """One spelling of a URL: scheme and host in lower case, no default port, no fragment, a path of ``/`` at least."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme.lower())) else f":{parts.port}"
    return urlunsplit((parts.scheme.lower(), host + port, parts.path or "/", parts.query, ""))


def hash_files(paths: Sequence[Path], store: Path | None = None) -> list[str]:
    """SHA-256 of each file, as 64 hex digits.

    Args:
        paths: files, absolute.
        store: file in which hashes are kept by path, size and time of change, so that a file is read once; None:
            every file is read. A store that can't be used costs time, nothing else.

    Raises:
        OSError: a file can't be read.
    """
    stats = [path.stat() for path in paths]
    facts = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in zip(paths, stats, strict=True)]
    known = _recall(store, facts) if store else {}
    unread = list(dict.fromkeys(fact for fact in facts if fact not in known))
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        fresh = dict(zip(unread, pool.map(file_sha256, (Path(path) for path, _, _ in unread)), strict=True))
    if store and fresh:
        _remember(store, fresh)
    known |= fresh
    return [known[fact] for fact in facts]


_Fact = tuple[str, int, int]


def _open(store: Path) -> sqlite3.Connection:
    store.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(store, timeout=HASH_CACHE_SECONDS.seconds)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT)"
    )
    return connection


def _recall(store: Path, facts: Iterable[_Fact]) -> dict[_Fact, str]:
    query = "SELECT sha256 FROM files WHERE path = ? AND size = ? AND mtime_ns = ?"
    try:
        with closing(_open(store)) as connection:
            rows = [(fact, connection.execute(query, fact).fetchone()) for fact in facts]
    except (sqlite3.Error, OSError) as error:
        _log.info("hashes of files are not kept: %s: %s", store, error)
        return {}
    return {fact: row[0] for fact, row in rows if row is not None}


def _remember(store: Path, hashes: dict[_Fact, str]) -> None:
    rows = [(*fact, digest) for fact, digest in hashes.items()]
    try:
        with closing(_open(store)) as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        _log.info("hashes of files are not kept: %s: %s", store, error)


def _extractor_id(url: str) -> tuple[str, str | None]:
    """Name and id from the first of yt-dlp's extractors that takes the URL; no id where it can't be told yet."""
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
        found = extractor.get_temp_id(url)
    except (IndexError, AttributeError, TypeError):  # its pattern has no group for an id
        found = None
    return name, str(found) if found else None


@cache
def _extractors() -> list[tuple[tuple[str, ...] | None, Any]]:
    """yt-dlp's extractors in its order, each with texts of which a URL must hold one; None: it must be asked.

    Asking all 1,750 takes 6 ms a URL; most are ruled out by a plain search for the name of their site.
    """
    from yt_dlp.extractor import gen_extractor_classes

    classes = list(gen_extractor_classes())
    usual = _asked(classes[-1])  # the generic extractor has the base class's way to match
    return [(_needed(c) if _asked(c) is usual else None, c) for c in classes]


def _asked(extractor: Any) -> Callable[..., Any]:
    function: Callable[..., Any] = extractor.suitable.__func__
    return function


def _needed(extractor: Any) -> tuple[str, ...] | None:
    patterns = extractor._VALID_URL
    if not patterns:
        return ()
    texts = tuple(longest_literal(pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns))
    return texts if all(texts) else None


def longest_literal(pattern: str) -> str:
    r"""The longest text, in lower case, that everything a regular expression matches must hold; "" where none is sure.

    ``https?://(?:www\.)?example\.org/v/(?P<id>\d+)`` gives ``example.org/v/``.
    """
    return max(_literals(_parser.parse(pattern)), key=len, default="").lower()


def _literals(items: Iterable[tuple[Any, Any]]) -> list[str]:
    """Every run of letters that a parsed pattern demands: at its top, in its groups, in what it repeats."""
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
