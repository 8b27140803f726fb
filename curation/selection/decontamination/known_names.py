"""The names by which the source of a root is known: ids at its site, and the name of its file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from curation.sources.url_identity import url_id
from runtime.annotation_files import without_suffix
from shards.keys import shard_name
from shards.media.video_facts import read_videos
from shards.reader import map_ahead, read_table
from shards.storage.store import Store

_WITH_SPAN: Final = re.compile(r"(.{11})_\d+_\d+")
_IN_BRACKETS: Final = re.compile(r".*\[([0-9A-Za-z_-]{11})\]")
"""YouTube's id in the name that yt-dlp gives to a file."""


@dataclass(frozen=True)
class KnownSource:
    """One source of a shard and its clips."""

    source: str
    """URL or path, as given."""
    clips: NDArray[np.int64]
    """Numbers of its clips."""
    sites: frozenset[str]
    """Canonical ids at its site: ``youtube:dQw4w9WgXcQ``."""
    names: frozenset[str]
    """Names that its file may have in a benchmark."""


def known_sources(store: Store, shards: tuple[int, ...], first: NDArray[np.int64]) -> Iterator[KnownSource]:
    """Yield the sources of all clips.

    Args:
        store: the DIR.
        shards: in order.
        first: number of each shard's first clip.
    """
    tables = map_ahead(lambda shard: _shard(store, shard), shards)
    for number, (sources, sites) in enumerate(tables):
        rows: dict[str, list[int]] = {}
        for row, source in enumerate(sources):
            rows.setdefault(source, []).append(row)
        for source, own in rows.items():
            at = np.array(own, np.int64)
            known = {site for row in own if (site := sites[row]) is not None}
            yield KnownSource(source, at + int(first[number]), frozenset(known | site_ids(source)), file_names(source))


def site_ids(source: str) -> set[str]:
    """Return the canonical id that a URL holds, if it holds one of a site."""
    if not source.lower().startswith(("http://", "https://")):
        return set()
    known = url_id(source)
    return set() if "://" in known else {known}


def file_names(source: str) -> frozenset[str]:
    """Return the names of a source's file under which a benchmark may know it, without endings."""
    path = unquote(urlsplit(source).path) if "://" in source else source
    stem = without_suffix(PurePosixPath(path).name)
    if not stem:
        return frozenset()
    names = {stem, stem.removeprefix("v_")}
    for pattern in (_WITH_SPAN, _IN_BRACKETS):
        match = pattern.fullmatch(stem.removeprefix("v_"))
        if match is not None:
            names.add(match[1])
    return frozenset(names)


def _shard(store: Store, shard: int) -> tuple[list[str], list[str | None]]:
    """Return source and canonical site id of each clip of a shard."""
    clips = read_table(store, f"media/{shard_name(shard)}.parquet", ["root_key", "source"])
    videos = read_videos(store, shard)
    columns = (videos[name].to_pylist() for name in ("root_key", "video_site", "video_site_id"))
    sites = {key: f"{site.lower()}:{id_}" for key, site, id_ in zip(*columns, strict=True) if site and id_}
    return clips["source"].to_pylist(), [sites.get(key) for key in clips["root_key"].to_pylist()]
