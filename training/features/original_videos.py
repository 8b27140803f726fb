"""Finds the files that roots were cut from: features at a higher rate than the stored 8 frames a second need them.

A source that is a file of this machine is read where it lies; others are looked up in a folder of downloads, by their
video id, by the id or name in their address, or by the id in brackets that yt-dlp puts at the end of a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from runtime.errors import UserError
from runtime.ray_runner.progress import FAILED
from shards.artifact import Artifact
from shards.keys import shard_name
from shards.reader import read_table
from shards.storage.store import Store

MISSING: Final = "original_missing"
"""Reason of failure of a root whose original was not there."""
SUFFIXES: Final = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".flv", ".mpg", ".mpeg", ".ogv"),
        *(".asf", ".wmv", ".rm", ".mxf", ".nut", ".ivf"),
    )
)
"""Names of files that may be videos end so."""

_BRACKETED = re.compile(r"\[([^\[\]]+)\]$")


class Originals:
    """The original of each source, where there is one."""

    def __init__(self, folder: Path | None) -> None:
        """Look through `folder` and the folders in it once.

        Raises:
            UserError: there is no such folder.
        """
        if folder is not None and not folder.is_dir():
            raise UserError(f"originals={folder}: there is no such folder")
        self._files = dict(_named(folder)) if folder is not None else {}

    def path_of(self, source: str, video_id: str) -> Path | None:
        """The file of a source.

        Args:
            source: address or path, as the tables have it.
            video_id: 16 hex digits.
        """
        if "://" not in source and _is_file(source):
            return Path(source)
        found = (self._files.get(name) for name in (video_id, *_names_in(source)))
        return next((path for path in found if path is not None), None)


def found_since(store: Store, folder: str, made: Mapping[int, Artifact], downloads: Path | None) -> set[int]:
    """Shards of a feature set in which roots had no original when it was made, and one of them has it now.

    Args:
        store: the DIR.
        folder: of the set.
        made: its artifacts, by shard.
        downloads: folder of `Originals`.

    Raises:
        UserError: there is no such folder.
        ShardError: features are damaged.
    """
    lacking = [shard for shard, artifact in made.items() if artifact.counts.get(f"{FAILED}{MISSING}")]
    if not lacking:
        return set()
    originals, found = Originals(downloads), set()
    for shard in lacking:
        rows = read_table(store, f"{folder}/{shard_name(shard)}.parquet", ["root_key", "failed"]).to_pylist()
        missed = {row["root_key"] for row in rows if row["failed"] == MISSING}
        clips = read_table(store, f"media/{shard_name(shard)}.parquet", ["key", "source", "video_id"]).to_pylist()
        if any(originals.path_of(clip["source"], clip["video_id"]) for clip in clips if clip["key"] in missed):
            found.add(shard)
    return found


def _is_file(source: str) -> bool:
    """Whether a file of this machine has that name; some sources are too long to be a name at all."""
    try:
        return Path(source).is_file()
    except OSError:
        return False


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every video below `folder` under each name that it may be looked up by."""
    for path in sorted(folder.rglob("*"), reverse=True):  # of equal names the first in order stays
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            bracketed = _BRACKETED.search(path.stem)
            if bracketed:
                yield bracketed[1], path
            yield path.stem, path


def _names_in(source: str) -> Iterator[str]:
    """What a download of this address may be called."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return
    yield from parse_qs(parts.query).get("v", ())
    yield Path(parts.path).stem
