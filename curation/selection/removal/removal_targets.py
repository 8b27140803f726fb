"""The videos that `curate remove` was asked for, looked up by id, by URL and by channel; changes nothing.

A video is removed whole, with all its sources: spans, attempts and other URLs of the same id.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from curation.sources.file_hashes import hash_files
from curation.sources.source_rows import SourceRow, source_rows
from curation.sources.url_identity import url_id
from runtime.errors import UserError
from shards.keys import ClipKey, video_id
from shards.reader import read_table, shards_in
from shards.removal.tombstones import Tombstone, read_tombstones
from shards.sources.source_parts import SOURCES_FOLDER, SourceParts
from shards.storage.store import Store

_VIDEO_ID: Final = re.compile(r"[0-9a-f]{16}")
_URL: Final = re.compile(r"https?://", re.IGNORECASE)
_COLUMNS: Final = (
    *("root_key", "video_title", "video_uploader", "video_uploader_url", "video_url"),
    *("video_site", "video_site_id"),
)


@dataclass(frozen=True)
class RemovalRequest:
    """The videos that a user named."""

    ids: Sequence[str] = ()
    """Video ids, ids of a site (``youtube:x``) or keys of clips."""
    urls: Sequence[str] = ()
    """URLs in any form, and paths."""
    channels: Sequence[str] = ()
    """Names or URLs of uploaders."""


@dataclass(frozen=True)
class KnownVideo:
    """A video of the DIR."""

    video_id: str
    sources: Sequence[SourceRow]
    title: str | None = None
    known_as: tuple[str, ...] = ()
    """Ids that other URLs of the same video have."""


@dataclass(frozen=True)
class RemovalTargets:
    """The videos to remove, and what else was named."""

    videos: Sequence[KnownVideo]
    """In the order of their sources."""
    removed: Sequence[str]
    """Names of videos that were removed before."""
    unknown: Sequence[str]
    """Names of nothing in this DIR."""


def find_targets(store: Store, request: RemovalRequest) -> RemovalTargets:
    """Look up all that was named.

    Raises:
        UserError: the DIR has no sources, or a name is no id at all.
        ShardError: a table is unreadable.
    """
    catalogue = Catalogue(store)
    found: dict[str, None] = {}
    removed: list[str] = []
    unknown: list[str] = []
    for name, ids in _named(catalogue, request):
        here = [id_ for id_ in ids if id_ in catalogue.rows and id_ not in catalogue.removed]
        found |= dict.fromkeys(here)
        if not here:
            (removed if any(id_ in catalogue.removed for id_ in ids) else unknown).append(name)
    same = catalogue.same_videos(found)
    return RemovalTargets([catalogue.video(id_) for id_ in catalogue.rows if id_ in same], removed, unknown)


def _named(catalogue: Catalogue, request: RemovalRequest) -> Iterator[tuple[str, list[str]]]:
    """Yield each name with the ids that it may stand for."""
    for name in request.ids:
        yield name, catalogue.of_id(name)
    for name in request.urls:
        yield name, catalogue.of_url(name)
    for name in request.channels:
        yield name, catalogue.of_channel(name)


@dataclass(frozen=True)
class Catalogue:
    """The videos of a DIR by all their names."""

    store: Store
    rows: Mapping[str, Sequence[SourceRow]] = field(init=False)
    """Sources by video id."""

    def __post_init__(self) -> None:
        parts = SourceParts(self.store)
        if not parts:
            raise UserError(f"{self.store.root}: holds no {SOURCES_FOLDER}/; name a folder that `curate run` wrote")
        rows: defaultdict[str, list[SourceRow]] = defaultdict(list)
        for row in (row for table in parts.tables() for row in source_rows(table)):
            rows[row.video_id].append(row)
        object.__setattr__(self, "rows", rows)

    @cached_property
    def removed(self) -> Mapping[str, Tombstone]:
        """Tombstones by each id of their video."""
        return {id_: tombstone for tombstone in read_tombstones(self.store) for id_ in tombstone.ids}

    @cached_property
    def facts(self) -> Mapping[str, Mapping[str, Any]]:
        """The facts of each video, from its first root."""
        facts: dict[str, Mapping[str, Any]] = {}
        for shard in shards_in(self.store.list("videos")):
            for row in read_table(self.store, f"videos/{shard:07d}.parquet", _COLUMNS).to_pylist():
                facts.setdefault(row["root_key"].partition("_")[0], row)
        return facts

    def video(self, id_: str) -> KnownVideo:
        """Return a video of the DIR."""
        known_as = (self.pages[id_],) if id_ in self.pages else ()
        return KnownVideo(id_, self.rows[id_], self.facts.get(id_, {}).get("video_title"), known_as)

    @cached_property
    def pages(self) -> Mapping[str, str]:
        """The id of a video's page, for each video whose URL led to a page with another id."""
        pages: dict[str, str] = {}
        for video, known in self.facts.items():
            url, rows = known["video_url"], self.rows.get(video, ())
            if url is not None and _URL.match(url) and all(row.source != url for row in rows):
                pages[video] = video_id(url_id(url))
        return {video: page for video, page in pages.items() if page != video}

    def same_videos(self, ids: Collection[str]) -> set[str]:
        """Return the videos of these ids, and those that the DIR holds a second time under another URL."""
        pages = {*ids, *(self.pages[id_] for id_ in ids if id_ in self.pages)}
        return pages | {video for video, page in self.pages.items() if page in pages}

    def of_id(self, name: str) -> list[str]:
        """Return the video ids that a name given with ``--ids`` may stand for.

        Raises:
            UserError: it is neither a video id, nor a site's id, nor a clip key.
        """
        if _VIDEO_ID.fullmatch(name):
            return [name]
        try:
            return [ClipKey.parse(name).video_id]
        except ValueError:
            site, colon, id_ = name.partition(":")
        if not (site and colon and id_) or id_.startswith("//"):
            raise UserError(
                f"--ids {name}: is neither a video id (16 hex digits), nor an id of a site (youtube:…), nor a clip "
                "key; name URLs with --urls"
            )
        canonical = [video_id(name), video_id(f"{site.lower()}:{id_}")]
        if any(one in self.rows or one in self.removed for one in canonical):
            return canonical
        wanted = (site.lower(), id_)
        return [
            *canonical,
            *(
                video
                for video, known in self.facts.items()
                if ((known["video_site"] or "").lower(), known["video_site_id"]) == wanted
            ),
        ]

    def of_url(self, name: str) -> list[str]:
        """Return the video ids that a URL, or the path of a file, may stand for."""
        sources = {name} if _URL.match(name) else {name, os.path.abspath(name)}  # noqa: PTH100  as sources are stored
        ids = [id_ for id_, rows in self.rows.items() if any(row.source in sources for row in rows)]
        if _URL.match(name):
            ids.append(video_id(url_id(name)))
        elif Path(name).is_file():
            ids += [digest[:16] for digest in hash_files([Path(name).absolute()])]
        if any(id_ in self.rows or id_ in self.removed for id_ in ids):
            return ids
        return [*ids, *(video for video, known in self.facts.items() if known["video_url"] == name)]

    def of_channel(self, name: str) -> list[str]:
        """Return the ids of all videos of an uploader, by name or URL; capitals make no difference."""
        wanted = _plain(name)
        stated = ("video_uploader", "video_uploader_url")
        return [
            video for video, known in self.facts.items() if wanted in {_plain(known[column] or "") for column in stated}
        ]


def _plain(name: str) -> str:
    return name.strip().rstrip("/").casefold()
