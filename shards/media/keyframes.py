"""The stills (keyframes) of a DIR's roots: their byte ranges in the tars, and the best one for a span."""

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
    """Bytes of the JPEG."""


def stills_of(store: Store, shard: int) -> dict[str, list[StoredStill]]:
    """Return the keyframes of a shard by root, from the headers of its tar.

    Raises:
        ShardError: the tar is damaged.
        FileNotFoundError: there is no such tar.
    """
    stills: dict[str, list[StoredStill]] = defaultdict(list)
    for member in members(store, _tar(shard)):
        root, ms, _ = member.name.split(".")
        stills[root].append(StoredStill(int(ms) / 1000, member.offset, member.size))
    return stills


def nearest_still(stills: Sequence[StoredStill], start: float, end: float) -> StoredStill | None:
    """Return the still nearest to the middle of a span of the video (seconds); None if there are no stills."""
    return min(stills, key=lambda still: abs(still.time - (start + end) / 2), default=None)


def read_still(store: Store, shard: int, still: StoredStill) -> bytes:
    """Return the JPEG of a still.

    Raises:
        ShardError: the tar ends before it.
        FileNotFoundError: there is no such tar.
    """
    return read_span(store, _tar(shard), still.offset, still.size)


def _tar(shard: int) -> str:
    return f"keyframes/{shard_name(shard)}.tar"
