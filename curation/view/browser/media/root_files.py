"""Byte ranges of the videos and stills of a DIR's roots, read once a shard and kept for the shards used last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from shards.keys import shard_name
from shards.media.keyframes import StoredStill, nearest_still, read_still, stills_of
from shards.media.root_facts import read_root_facts, shots_of
from shards.reader import read_table
from shards.storage.store import Store
from shards.storage.tar import ByteSpan

_KEPT: Final = 32
"""Shards whose byte ranges are kept."""
_T = TypeVar("_T")


class RootFiles:
    """The videos and stills of the roots of a DIR; safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        """Open a DIR; nothing is read yet."""
        self.store = store
        self._videos: _Kept[Mapping[str, ByteSpan]] = _Kept(self._read_videos)
        self._stills: _Kept[Mapping[str, Sequence[StoredStill]]] = _Kept(self._read_stills)

    def video(self, shard: int, root_key: str) -> ByteSpan | None:
        """Return the byte range of a root's mp4 in the tar of its shard; None if there is no such root.

        Raises:
            ShardError: the table is damaged.
        """
        return self._videos.get(shard).get(root_key)

    def still(self, shard: int, root_key: str, time: float) -> bytes | None:
        """Return the JPEG nearest to a second of the video; None if the root has no stills.

        Raises:
            ShardError: the tar is damaged.
        """
        still = nearest_still(self._stills.get(shard).get(root_key, ()), time, time)
        return None if still is None else read_still(self.store, shard, still)

    def still_times(self, shard: int, root_key: str) -> list[float]:
        """Return the seconds of the video of all stills of a root."""
        return sorted(still.time for still in self._stills.get(shard).get(root_key, ()))

    def shots(self, shard: int, root_key: str) -> list[float]:
        """Return the seconds of the video at which a new shot begins in a root; none if the DIR doesn't hold them.

        Raises:
            ShardError: the tar is damaged.
        """
        mp4 = self.video(shard, root_key)
        if mp4 is None:
            return []
        try:
            return shots_of(read_root_facts(self.store, shard, root_key, mp4))
        except FileNotFoundError:
            return []

    def forget(self) -> None:
        """Read everything anew when it is asked for: shards were made again."""
        self._videos.clear()
        self._stills.clear()

    def _read_videos(self, shard: int) -> dict[str, ByteSpan]:
        try:
            table = read_table(
                self.store, f"media/{shard_name(shard)}.parquet", ["root_key", "byte_offset", "byte_size"]
            )
        except FileNotFoundError:
            return {}
        return {
            root: ByteSpan(offset, size)
            for root, offset, size in zip(*(column.to_pylist() for column in table.columns), strict=True)
        }

    def _read_stills(self, shard: int) -> dict[str, list[StoredStill]]:
        try:
            return stills_of(self.store, shard)
        except FileNotFoundError:
            return {}


class _Kept(Generic[_T]):
    """Values by shard, made when they are asked for; those used last are kept."""

    def __init__(self, make: Callable[[int], _T]) -> None:
        self._make = make
        self._values: OrderedDict[int, _T] = OrderedDict()
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._values.clear()

    def get(self, shard: int) -> _T:
        """Return the value of a shard."""
        with self._lock:
            if shard in self._values:
                self._values.move_to_end(shard)
                return self._values[shard]
        value = self._make(shard)
        with self._lock:
            self._values[shard] = value
            if len(self._values) > _KEPT:
                self._values.popitem(last=False)
        return value
