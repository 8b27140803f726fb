"""Small ranges of files in object stores, read through the last large blocks: pictures of a shard are read in turn.

Pictures follow each other in a tar of keyframes, and many threads ask for one each. A block is requested once, and the
pictures in it are cut out of memory. Blocks are kept for this process only, and for a limited time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from typing import Final

from shards.storage.store import Store

_BLOCK: Final = 1 << 22
"""Bytes of a block, which begins at a multiple of them."""
_BLOCKS_HELD: Final = 16
_SMALL: Final = 1 << 20
"""Larger ranges, such as videos, are read by themselves."""
_BLOCK_AGE: Final = 120.0
"""Seconds for which a block is used: tars are rewritten when a video is removed from a DIR."""


class NearbyReads:
    """The last blocks of files in object stores; safe to share between threads."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[tuple[str, int], tuple[float, Future[bytes]]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, url: str, offset: int, size: int) -> bytes:
        """Read a range of the file at a URL; fewer bytes than `size` if the file ends before.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: the store failed.
        """
        folder, _, name = url.rpartition("/")
        store = Store(folder)
        if size > _SMALL:
            return store.read_bytes(name, offset, size)
        first, last = offset // _BLOCK, (offset + size - 1) // _BLOCK
        data = b"".join(self._block(store, name, number) for number in range(first, last + 1))
        start = offset - first * _BLOCK
        return data[start : start + size]

    def _block(self, store: Store, name: str, number: int) -> bytes:
        """Return a block from memory; of the threads that lack it, one requests it."""
        key = (store.path(name), number)
        with self._lock:
            made, future = self._blocks.get(key, (0.0, None))
            is_asked = future is None or time.monotonic() - made > _BLOCK_AGE
            if is_asked:
                future = Future()
                self._blocks[key] = time.monotonic(), future
            self._blocks.move_to_end(key)
            while len(self._blocks) > _BLOCKS_HELD:
                self._blocks.popitem(last=False)
        assert future is not None
        if is_asked:
            self._request(store, name, number, future)
        return future.result()

    def _request(self, store: Store, name: str, number: int, future: Future[bytes]) -> None:
        """Fill in a block; one that failed is forgotten, so that the next thread asks again."""
        try:
            future.set_result(store.read_bytes(name, number * _BLOCK, _BLOCK))
        except BaseException as error:
            with self._lock:
                self._blocks.pop((store.path(name), number), None)
            future.set_exception(error)


NEARBY: Final = NearbyReads()
"""The blocks of this process."""
