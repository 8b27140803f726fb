"""Finds the original files that roots were cut from, for features at a higher rate than that of the stored roots.

A source that is a local file is read in place. A source that is a URL is looked up in a folder of downloads: by its
video id, by the id or name in the URL, or by the id in brackets that yt-dlp puts at the end of a file name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from runtime.errors import UserError
from runtime.ray_runner.display.progress import FAILED
from shards.artifact import Artifact
from shards.keys import shard_name
from shards.reader import read_table
from shards.storage.store import Store

MISSING: Final = "original_missing"
"""Reason of failure of a root without an original file."""
SUFFIXES: Final = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".flv", ".mpg", ".mpeg", ".ogv"),
        *(".asf", ".wmv", ".rm", ".mxf", ".nut", ".ivf"),
    )
)
"""Suffixes of files that may be videos."""

_BRACKETED = re.compile(r"\[([^\[\]]+)\]$")


class Originals:
    """The original files of sources, as far as they exist."""

    def __init__(self, folder: Path | None) -> None:
        """List `folder` and its subfolders once; with None, only local files are found.

        Raises:
            UserError: there is no such folder.
        """
        if folder is not None and not folder.is_dir():
            raise UserError(f"originals={folder}: there is no such folder")
        self._files = dict(_named(folder)) if folder is not None else {}

    def path_of(self, source: str, video_id: str) -> Path | None:
        """Return the original file of a source; None if there is none.

        Args:
            source: URL or path, as in the tables.
            video_id: 16 hex digits.
        """
        if "://" not in source and _is_file(source):
            return Path(source)
        candidates = (self._files.get(name) for name in (video_id, *_names_in(source)))
        return next((path for path in candidates if path is not None), None)


def with_new_originals(store: Store, folder: str, made: Mapping[int, Artifact], downloads: Path | None) -> set[int]:
    """Return the shards of a feature set with a root that lacked its original and has one now.

    Args:
        store: the DIR.
        folder: folder of the set.
        made: the set's artifacts, by shard.
        downloads: folder of `Originals`.

    Raises:
        UserError: there is no such folder.
        ShardError: features are damaged.
    """
    lacking = [shard for shard, artifact in made.items() if artifact.counts.get(f"{FAILED}{MISSING}")]
    if not lacking:
        return set()
    originals, shards = Originals(downloads), set()
    for shard in lacking:
        rows = read_table(store, f"{folder}/{shard_name(shard)}.parquet", ["root_key", "failed"]).to_pylist()
        missed = {row["root_key"] for row in rows if row["failed"] == MISSING}
        clips = read_table(store, f"media/{shard_name(shard)}.parquet", ["key", "source", "video_id"]).to_pylist()
        if any(originals.path_of(clip["source"], clip["video_id"]) for clip in clips if clip["key"] in missed):
            shards.add(shard)
    return shards


def _is_file(source: str) -> bool:
    """Return True if a local file has that name; some sources are too long for a file name."""
    try:
        return Path(source).is_file()
    except OSError:
        return False


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield every video in `folder` and its subfolders with each name that it can be looked up by."""
    for path in sorted(folder.rglob("*"), reverse=True):  # reversed: of equal names, the first path is kept
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            bracketed = _BRACKETED.search(path.stem)
            if bracketed:
                yield bracketed[1], path
            yield path.stem, path


def _names_in(source: str) -> Iterator[str]:
    """Yield the names that a download of this URL may have."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return
    yield from parse_qs(parts.query).get("v", ())
    yield Path(parts.path).stem
