"""Turns `--input` arguments into sources: URLs, files, folders, globs and manifests, on this machine and elsewhere.

`curation.sources.table` then decides which of them are new.
"""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from curation.sources.file_hashes import hash_files
from curation.sources.manifests import MANIFEST_SUFFIXES, ManifestEntry, read_manifest
from curation.sources.remote_lists import WEB_SCHEMES, beside, list_suffix, read_remote_list
from curation.sources.stored_folders import names_stored_files, stored_files
from curation.sources.url_identity import url_id
from runtime.errors import UserError
from shards.keys import video_id
from shards.storage.remote_filesystem import STORE_SCHEMES
from shards.storage.storage_errors import StorageError
from shards.storage.url_secrets import has_secrets, without_secrets

VIDEO_SUFFIXES: Final = frozenset(
    {".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
"""Suffixes of the files that are taken from a folder or a glob; a file that is named itself may have any suffix."""

NOT_UTF8: Final = "(name is not UTF-8)"
NOT_A_FILE: Final = "(broken link or no file)"
"""Keys by which `read_inputs` counts what is named like a video in a folder, and left out for another reason."""
NO_URL: Final = "(name can't be part of a URL)"
"""The same for a file in an object store."""

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PLAIN_URL: Final = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(?:/[!-?A-~]*)?")
"""A URL without port and ``@``, of printable ASCII, as most are; there is nothing to check more closely."""
_IN_NO_URL: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_IN_NO_STORED_URL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Names of stored objects may have spaces."""
_BATCH: Final = 4096


@dataclass(frozen=True)
class Source:
    """One line of input: a video, or a span of it, with the columns of its manifest."""

    source: str
    """URL as given, or absolute path."""
    video_id: str
    """Sixteen hex digits, see `shards.keys`."""
    start: float | None = None
    """Start of the span in seconds; None: the start of the video."""
    end: float | None = None
    """End of the span in seconds; None: the end of the video."""
    carried: Mapping[str, object] = field(default_factory=dict)
    """The manifest's other columns."""
    is_url: bool = False
    canonical: str = ""
    """For a URL, the text that `video_id` is the hash of: ``youtube:dQw4w9WgXcQ``, or the normalised URL."""


def read_inputs(
    inputs: Sequence[str],
    *,
    allow_schemes: Sequence[str] = (),
    allow_addresses: Sequence[str] = (),
    cache: Path | None = None,
    ignored: Counter[str] | None = None,
) -> Iterator[Source]:
    """Yield the sources that `--input` arguments name, in the order given (files of a folder: by name).

    Lists are read a line at a time; local files are hashed many at a time.

    Args:
        inputs: URLs, files, folders (searched for videos at any depth), globs, manifests; all of them also in an
            object store.
        allow_schemes: URL schemes besides http and https.
        allow_addresses: networks in CIDR form from which a list may be read although they are not public.
        cache: file that keeps hashes of local files between runs.
        ignored: receives the number of files in folders and globs that are left out, by suffix, or by
            `NOT_UTF8`, `NOT_A_FILE` or `NO_URL`.

    Raises:
        UserError: an input is missing, unreadable, or neither a path nor a URL.
        StorageError: the store of a list failed.
    """
    ignored = Counter() if ignored is None else ignored
    try:
        entries = (entry for text in inputs for entry in _expand(text, ignored, allow_schemes, allow_addresses))
        while batch := list(islice(entries, _BATCH)):
            yield from _located(batch, allow_schemes, cache)
    except StorageError:
        raise
    except OSError as error:
        raise UserError(f"--input {error.filename}: can't be read ({error.strerror})") from None


def _located(entries: Sequence[ManifestEntry], allow_schemes: Sequence[str], cache: Path | None) -> Iterator[Source]:
    locations = [_location(entry, allow_schemes) for entry in entries]
    files = [location for location in locations if isinstance(location, Path)]
    hashes = dict(zip(files, hash_files(files, cache) if files else (), strict=True))
    return (_source(entry, location, hashes) for entry, location in zip(entries, locations, strict=True))


def _expand(
    text: str, ignored: Counter[str], schemes: Sequence[str], allowed: Sequence[str]
) -> Iterator[ManifestEntry]:
    """Yield the entries of one `--input` argument, each with an absolute path or a URL."""
    where, path = f"--input {text}", _expanded(text)
    if not text.strip():
        raise UserError(f"--input {text!r}: must be a file, folder, list or URL")
    if _URL.match(text):
        yield from _at(text, ignored, schemes, allowed)
    elif path.is_dir():
        yield from _videos_below(path, ignored)
    elif path.exists():
        yield from _file(path)
    elif glob.has_magic(text):
        yield from _globbed(text, path, ignored)
    else:
        raise UserError(f"{without_secrets(where)}: no such file, directory or URL")


def _at(url: str, ignored: Counter[str], schemes: Sequence[str], allowed: Sequence[str]) -> Iterator[ManifestEntry]:
    """Yield the entries that a URL names: those of a list, the videos of a stored folder or glob, or itself."""
    entry = ManifestEntry(f"--input {url}", url)
    if list_suffix(url) and not (glob.has_magic(url) and names_stored_files(url)):
        yield from _listed_at(url, allowed)
        return
    if not names_stored_files(url):
        yield entry
        return
    _check_url(entry, url.partition("://")[0].lower(), schemes)
    found = None
    for found in stored_files(url):
        suffix = Path(found).suffix.lower()
        if suffix not in VIDEO_SUFFIXES:
            ignored[suffix] += 1
        elif _IN_NO_STORED_URL.search(found) or not _is_utf8(found):
            ignored[NO_URL] += 1
        else:
            yield replace(entry, url=found)
    if found is None:
        raise UserError(f"--input {url}: there is no file")


def _file(path: Path) -> Iterator[ManifestEntry]:
    if path.suffix.lower() not in MANIFEST_SUFFIXES:
        yield ManifestEntry(f"--input {path}", _absolute(path))
        return
    for entry in read_manifest(path):
        local = None if _URL.match(entry.url) else _absolute(path.parent / _expanded(entry.url))
        where = f"--input {entry.where}"
        yield ManifestEntry(where, local or entry.url, entry.start, entry.end, entry.carried)


def _listed_at(url: str, allowed: Sequence[str]) -> Iterator[ManifestEntry]:
    """Yield the entries of a list at a URL; its relative names are URLs beside it, never files of this machine."""
    scheme = url.partition("://")[0].lower()
    if scheme in WEB_SCHEMES:
        _check_url(ManifestEntry(f"--input {url}", url), scheme, ())
    for entry in read_remote_list(url, allowed):
        yield replace(entry, where=f"--input {entry.where}", url=beside(url, entry.url))


def _globbed(text: str, pattern: Path, ignored: Counter[str]) -> Iterator[ManifestEntry]:
    """Yield all matches of a pattern with a suffix; of any other pattern, only the videos that match."""
    matches = sorted(Path(match) for match in glob.glob(str(pattern), recursive=True))  # noqa: PTH207  absolute patterns
    if not matches:
        raise UserError(f"--input {text}: matches no file")
    for match in matches:
        if match.is_dir():
            if "**" not in text:  # such a pattern lists the files below by itself
                yield from _videos_below(match, ignored)
        elif (why := _unusable(match)) is not None:
            ignored[why] += 1
        elif pattern.suffix or match.suffix.lower() in VIDEO_SUFFIXES:
            yield from _file(match)
        else:
            ignored[match.suffix.lower()] += 1


def _videos_below(folder: Path, ignored: Counter[str]) -> Iterator[ManifestEntry]:
    """Yield every video in `folder` at any depth, by name; hidden files and folders are left out."""

    def unreadable(error: OSError) -> None:
        raise UserError(f"--input {error.filename}: can't be read ({error.strerror})")

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            path = Path(parent) / name
            if suffix not in VIDEO_SUFFIXES or name.startswith("."):
                ignored[suffix] += 1
            elif (why := _unusable(path)) is not None:
                ignored[why] += 1
            else:
                yield ManifestEntry(f"--input {folder}", _absolute(path))


def _expanded(text: str) -> Path:
    """Return a path with the home folder for ``~``; a user that does not exist is taken as part of the name."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _unusable(path: Path) -> str | None:
    """Return why a match in a folder can't be a source; None if it can."""
    if not _is_utf8(str(path)):
        return NOT_UTF8
    return None if path.is_file() else NOT_A_FILE


def _is_utf8(text: str) -> bool:
    """Return True if a name can be stored in tables, which hold UTF-8 text."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  keeps symbolic links: subtitles are beside the name that was given


def _location(entry: ManifestEntry, allow_schemes: Sequence[str]) -> Path | str:
    """Return the video of an entry: a readable local file, or a URL of an allowed scheme."""
    if _PLAIN_URL.fullmatch(entry.url):
        return entry.url
    scheme = _URL.match(entry.url)
    if scheme is not None:
        _check_url(entry, scheme[1].lower(), allow_schemes)
        return entry.url
    path = Path(entry.url)
    if not _is_utf8(entry.url):
        raise UserError(f"--input {entry.url!r}: the name is not UTF-8 text; rename the file")
    if not path.is_file():
        reason = "is not a file" if path.exists() else "no such file"
        raise UserError(without_secrets(f"{entry.where}: {entry.url}: {reason}"))
    if not os.access(path, os.R_OK):
        raise UserError(f"{entry.where}: {entry.url}: can't be read (permission denied)")
    return path


def _check_url(entry: ManifestEntry, scheme: str, allow_schemes: Sequence[str]) -> None:
    if scheme not in (*WEB_SCHEMES, *allow_schemes):
        remedy = "give the path instead" if scheme == "file" else "set media.download.allow_schemes to allow it"
        raise UserError(f"{entry.where}: {scheme}:// is not allowed; {remedy}")
    try:
        parts = urlsplit(entry.url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        shown = without_secrets(f"{entry.where}: {entry.url}: is not a URL ({error})")
        raise UserError(shown) from None
    if "@" in parts.netloc or has_secrets(entry.url):
        where = without_secrets(entry.where.replace(f"{parts.netloc.rpartition('@')[0]}@", "***@"))
        raise UserError(f"{where}: a URL must hold no password; set media.download.yt_dlp.username and password")
    never = _IN_NO_STORED_URL if scheme in STORE_SCHEMES else _IN_NO_URL
    if not host or never.search(entry.url):
        shown = without_secrets(f"{entry.where}: {entry.url}")
        raise UserError(f"{shown}: is not a URL (no host, or a space or control character in it)")


def _source(entry: ManifestEntry, location: Path | str, hashes: Mapping[Path, str]) -> Source:
    if isinstance(location, Path):
        return Source(entry.url, hashes[location][:16], entry.start, entry.end, entry.carried)
    canonical = url_id(location)
    return Source(entry.url, video_id(canonical), entry.start, entry.end, entry.carried, True, canonical)
