"""The stills of a DIR's roots: where in its tars each lies, and which shows a span best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from shards.keys import shard_name
from shards.storage.store import Store
from shards.storage.tar import members, read_span


@dataclass(frozen=True)
class StoredStill:
    """One keyframe of a root."""

    time: float
    """Seconds of the video."""
    offset: int
    """Byte at which the JPEG begins in the shard's tar."""
    size: int


def stills_of(store: Store, shard: int) -> dict[str, list[StoredStill]]:
    """The keyframes of a shard by root, from the headers of its tar.

    Raises:
        ShardError: the tar is damaged.
        FileNotFoundError: there is none.
    """
    stills: dict[str, list[StoredStill]] = defaultdict(list)
    for member in members(store, _tar(shard)):
        root, ms, _ = member.name.split(".")
        stills[root].append(StoredStill(int(ms) / 1000, member.offset, member.size))
    return stills


def nearest_still(stills: Sequence[StoredStill], start: float, end: float) -> StoredStill | None:
    """The still nearest to the middle of a span of the video, in seconds; None without any."""
    return min(stills, key=lambda still: abs(still.time - (start + end) / 2), default=None)


def read_still(store: Store, shard: int, still: StoredStill) -> bytes:
    """The JPEG.

    Raises:
        ShardError: the tar ends before it.
        FileNotFoundError: there is no such tar.
    """
    return read_span(store, _tar(shard), still.offset, still.size)


def _tar(shard: int) -> str:
    return f"keyframes/{shard_name(shard)}.tar"
