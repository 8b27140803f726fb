"""What comes in: `--input` arguments to sources, and sources to rows of sources.parquet.

`read_inputs` looks at files and lists; `plan_sources` is pure and decides, append-only, which of them are new, which
are not worth any work, and which shard each goes into.
"""

from __future__ import annotations

import glob
import json
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import pyarrow as pa

from curation.sources.identity import hash_files, url_id
from curation.sources.manifests import MANIFEST_SUFFIXES, Entry, read_manifest
from runtime.errors import UserError
from shards.keys import video_id
from shards.schema import SOURCES

VIDEO_SUFFIXES: Final = frozenset(
    {".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
"""Files that a directory's or a glob's videos are known by; a file that is named itself may have any name."""

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MAX_PER_SHARD: Final = 64
_SHARDS_AT_FIRST: Final = 16


@dataclass(frozen=True)
class Source:
    """One line of input: a video, or a span of it, with what is known of it."""

    source: str
    """The URL as given, or the absolute path."""
    video_id: str
    """Sixteen hex digits, see `shards.keys`."""
    start: float | None = None
    """Seconds; None: from the beginning."""
    end: float | None = None
    """Seconds; None: to the end."""
    carried: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's other columns."""
    is_url: bool = False
    canonical: str = ""
    """What `video_id` is the hash of, for a URL: ``youtube:dQw4w9WgXcQ``, or the URL in one spelling."""


def read_inputs(
    inputs: Sequence[str],
    *,
    allow_schemes: Sequence[str] = (),
    cache: Path | None = None,
    ignored: Counter[str] | None = None,
) -> list[Source]:
    """Turn `--input` arguments into sources, in the order given (files of a directory: by name).

    Args:
        inputs: http(s) URLs, files, directories (searched for videos, with all below them), globs, manifests.
        allow_schemes: URL schemes besides http and https.
        cache: file that keeps hashes of local files between runs.
        ignored: counts, by suffix, the files of directories and globs that are no videos.

    Raises:
        UserError: an input that is not there, can't be read or can't be understood; it names it.
    """
    ignored = Counter() if ignored is None else ignored
    try:
        entries = [entry for text in inputs for entry in _expand(text, ignored)]
        places = [_place(entry, allow_schemes) for entry in entries]
        files = [place for place in places if isinstance(place, Path)]
        hashes = dict(zip(files, hash_files(files, cache), strict=True))
    except OSError as error:
        raise UserError(f"--input {error.filename}: can't be read ({error.strerror})") from None
    return [_source(entry, place, hashes) for entry, place in zip(entries, places, strict=True)]


def plan_sources(
    existing: pa.Table | None,
    found: Sequence[Source],
    *,
    videos_per_shard: int | Literal["auto"],
    limit: int | None = None,
    exclude: Iterable[str] = (),
    retry: Sequence[Mapping[str, Any]] = (),
) -> tuple[pa.Table, int]:
    """Append what is new to sources.parquet: rows that are there stay as they are, new rows fill new shards.

    Args:
        existing: the table so far.
        found: sources of this run; those that are in the table already are not added again.
        videos_per_shard: sources with work to do that one shard takes; ``auto`` decides by their number.
        limit: at most so many new sources; those that need no work and retries don't count.
        exclude: video ids, canonical ids (``youtube:x``), sites' own ids (``x``) or sources to book as `excluded`.
        retry: rows of the ledger to try once more; those whose source has been put into a later shard are left out.

    Returns:
        The whole table (schema `shards.schema.SOURCES`), and the number of videos a shard.
    """
    table = SOURCES.empty_table() if existing is None else existing.select(SOURCES.names).cast(SOURCES)
    rows = [*_again(table, retry), *_new(table, found, frozenset(exclude), limit)]
    work = sum(row["verdict"] is None for row in rows)
    size = auto_videos_per_shard(work) if videos_per_shard == "auto" else videos_per_shard
    first = max(table["shard"].to_pylist(), default=-1) + 1
    placed = pa.Table.from_pylist(_placed(rows, first, size), schema=SOURCES)
    return pa.concat_tables([table, placed]), size


def auto_videos_per_shard(sources: int) -> int:
    """Videos a shard so that a small run still makes 16 shards, and a large one shards of 64 videos."""
    return min(max(math.ceil(sources / _SHARDS_AT_FIRST), 1), _MAX_PER_SHARD)


def _expand(text: str, ignored: Counter[str]) -> Iterator[Entry]:
    """One `--input` argument as entries, each with an absolute path or a URL."""
    where, path = f"--input {text}", Path(text).expanduser()
    if _URL.match(text):
        yield Entry(where, text)
    elif path.is_dir():
        yield from _videos_below(path, ignored)
    elif path.exists():
        yield from _file(path)
    elif glob.has_magic(text):
        yield from _globbed(text, path, ignored)
    else:
        raise UserError(f"{where}: no such file, directory or URL")


def _file(path: Path) -> Iterator[Entry]:
    if path.suffix.lower() not in MANIFEST_SUFFIXES:
        yield Entry(f"--input {path}", _absolute(path))
        return
    for entry in read_manifest(path):
        local = None if _URL.match(entry.url) else _absolute(path.parent / Path(entry.url).expanduser())
        where = f"--input {entry.where}"
        yield Entry(where, local or entry.url, entry.start, entry.end, entry.carried)


def _globbed(text: str, pattern: Path, ignored: Counter[str]) -> Iterator[Entry]:
    """A pattern that ends in a suffix means all its matches; any other only the videos among them."""
    matches = sorted(Path(match) for match in glob.glob(str(pattern), recursive=True))  # noqa: PTH207  absolute patterns
    if not matches:
        raise UserError(f"--input {text}: matches no file")
    for match in matches:
        if match.is_dir():
            if "**" not in text:  # which lists what is below by itself
                yield from _videos_below(match, ignored)
        elif pattern.suffix or match.suffix.lower() in VIDEO_SUFFIXES:
            yield from _file(match)
        else:
            ignored[match.suffix.lower()] += 1


def _videos_below(folder: Path, ignored: Counter[str]) -> Iterator[Entry]:
    """Every video in `folder` and below it, by name; hidden files and folders are left out."""

    def unreadable(error: OSError) -> None:
        raise UserError(f"--input {error.filename}: can't be read ({error.strerror})")

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            if suffix in VIDEO_SUFFIXES and not name.startswith("."):
                yield Entry(f"--input {folder}", _absolute(Path(parent) / name))
            else:
                ignored[suffix] += 1


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  symbolic links stay: subtitles lie beside the name that was given


def _place(entry: Entry, allow_schemes: Sequence[str]) -> Path | str:
    """Where an entry's video is: a readable local file, or a URL of an allowed scheme."""
    scheme = _URL.match(entry.url)
    if scheme is not None:
        _check_url(entry, scheme[1].lower(), allow_schemes)
        return entry.url
    path = Path(entry.url)
    if any("\ud800" <= letter <= "\udfff" for letter in entry.url):
        raise UserError(f"--input {entry.url!r}: the name is not UTF-8 text; rename the file")
    if not path.is_file():
        reason = "is no file" if path.exists() else "no such file"
        raise UserError(f"{entry.where}: {entry.url}: {reason}")
    if not os.access(path, os.R_OK):
        raise UserError(f"{entry.where}: {entry.url}: can't be read (permission denied)")
    return path


def _check_url(entry: Entry, scheme: str, allow_schemes: Sequence[str]) -> None:
    if scheme not in ("http", "https", *allow_schemes):
        remedy = "give the path instead" if scheme == "file" else "set media.download.allow_schemes to allow it"
        raise UserError(f"{entry.where}: {scheme}:// is not allowed; {remedy}")
    try:
        parts = urlsplit(entry.url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"{entry.where}: {entry.url}: is no URL ({error})") from None
    if "@" in parts.netloc:
        where = entry.where.replace(parts.netloc, f"***@{host}")
        raise UserError(f"{where}: a URL must hold no password; set media.download.yt_dlp.username and password")
    if not host or re.search(r"\s", entry.url):
        raise UserError(f"{entry.where}: {entry.url}: is no URL (no host, or a space in it)")


def _source(entry: Entry, place: Path | str, hashes: Mapping[Path, str]) -> Source:
    if isinstance(place, Path):
        return Source(entry.url, hashes[place][:16], entry.start, entry.end, entry.carried)
    canonical = url_id(place)
    return Source(entry.url, video_id(canonical), entry.start, entry.end, entry.carried, True, canonical)


def _again(table: pa.Table, retry: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """New attempts at sources of the ledger, unless a later attempt is in the table already."""
    asked = {(_name(row), row["attempt"]) for row in retry}
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in table.to_pylist() if asked else ():
        if row["attempt"] >= latest.get(_name(row), row)["attempt"]:
            latest[_name(row)] = row
    for name, row in latest.items():
        if (name, row["attempt"]) in asked:
            yield row | {"attempt": row["attempt"] + 1, "verdict": None}


def _new(
    table: pa.Table, found: Sequence[Source], exclude: frozenset[str], limit: int | None
) -> Iterator[dict[str, Any]]:
    """A row for each source that the table does not hold, with a verdict where it needs no work."""
    columns = [table[name].to_pylist() for name in ("source", "video_id", "start", "end", "verdict")]
    known = {_identity(source, id_, start, end) for source, id_, start, end, _ in zip(*columns, strict=True)}
    taken: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for _, id_, start, end, verdict in zip(*columns, strict=True):
        if verdict is None:
            taken[id_].append(_span(start, end))
    added = 0
    for source in found:
        identity = _identity(source.source, source.video_id, source.start, source.end)
        if identity in known:
            continue
        verdict = _verdict(source, taken[source.video_id], exclude)
        if verdict is None:
            if added == limit:
                return
            added += 1
            taken[source.video_id].append(_span(source.start, source.end))
        known.add(identity)
        yield _row(source, verdict)


def _verdict(source: Source, taken: Iterable[tuple[float, float]], exclude: frozenset[str]) -> str | None:
    """Why a new source needs no work; spans of one video that overlap would make clips with the same keys."""
    names = {source.source, source.video_id, source.canonical, source.canonical.partition(":")[2]}
    if names & exclude:
        return "excluded"
    start, end = _span(source.start, source.end)
    return "duplicate" if any(start < other_end and other < end for other, other_end in taken) else None


def _row(source: Source, verdict: str | None) -> dict[str, Any]:
    return {
        "source": source.source,
        "video_id": source.video_id,
        "start": source.start,
        "end": source.end,
        "attempt": 1,
        "verdict": verdict,
        "carried": json.dumps(source.carried, ensure_ascii=False) if source.carried else None,
    }


def _placed(rows: Iterable[dict[str, Any]], first: int, size: int) -> list[dict[str, Any]]:
    """The rows with their shards, `size` rows with work in each; a row without goes along with those before it."""
    placed, work = [], 0
    for row in rows:
        work += row["verdict"] is None
        placed.append(row | {"shard": first + max(work - 1, 0) // size})
    return placed


def _identity(source: str, video: str, start: float | None, end: float | None) -> tuple[Any, ...]:
    """What makes two lines the same source: a URL is what it was, a file is another when its bytes are others."""
    return source, "" if _URL.match(source) else video, start, end


def _name(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["source"], row["video_id"], row["start"], row["end"]


def _span(start: float | None, end: float | None) -> tuple[float, float]:
    return start or 0.0, math.inf if end is None else end
