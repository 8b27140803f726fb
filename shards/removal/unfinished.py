"""The record of a removal that is under way, ``.removal.json``: written before anything else, deleted at the end.

While it is there, tables and tars may disagree. Every step of a removal can be repeated, so whoever holds the lock next
(`curate remove`, `curate run`) carries it to its end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from shards.errors import ShardError, one_line
from shards.removal.tombstones import Tombstone
from shards.storage.store import Store

UNFINISHED: Final = ".removal.json"


@dataclass(frozen=True)
class Removal:
    """All that a removal has to know of the DIR as it was before."""

    videos: Sequence[Tombstone]
    """Tombstones of the videos to remove."""
    shards: Sequence[int]
    """Shards with sources of these videos."""
    digests: Mapping[str, str]
    """Digest of each table that may change, by name: what is recorded as an input of other tables."""

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the videos."""
        return frozenset(video.video_id for video in self.videos)


def read_unfinished(store: Store) -> Removal | None:
    """Return the removal that was interrupted in a DIR; None if there is none.

    Raises:
        ShardError: its record is damaged.
    """
    try:
        data = store.read_bytes(UNFINISHED)
    except FileNotFoundError:
        return None
    try:
        values = json.loads(data)
        videos = [Tombstone(**video | {"known_as": tuple(video["known_as"])}) for video in values["videos"]]
        return Removal(videos, list(map(int, values["shards"])), dict(values["digests"]))
    except (ValueError, TypeError, KeyError) as error:
        raise ShardError(
            f"{store.path(UNFINISHED)}: damaged ({one_line(error, limit=200)}); delete it, then repeat `curate remove` "
            "with all ids"
        ) from None


def refuse_unfinished(store: Store) -> None:
    """Refuse to read a DIR in which a removal was interrupted: rows may name other bytes than their own.

    Raises:
        ShardError: names the remedy.
    """
    if store.exists(UNFINISHED):
        raise ShardError(f"{store.root}: a removal was interrupted; finish it with `curate remove {store.root}`")


def write_unfinished(store: Store, removal: Removal) -> None:
    """Write down what is about to be removed."""
    store.commit_bytes(json.dumps(asdict(removal)).encode(), UNFINISHED)


def delete_unfinished(store: Store) -> None:
    """Note that the removal has come to its end."""
    store.delete(UNFINISHED)
