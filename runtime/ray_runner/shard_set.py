"""A set of shard numbers in one bit each, because a run may have hundreds of thousands of shards in several stages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_LOWEST: Final = -1
"""`runtime.ray_runner.table_stage.WHOLE_TABLE`: the number of a table stage's only row."""


class ShardSet:
    """A set of shard numbers from -1 upwards; numbers are expected to be dense."""

    def __init__(self, shards: Iterable[int] = ()) -> None:
        self._bits = bytearray()
        self._count = 0
        for shard in shards:
            self.add(shard)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, shard: int) -> bool:
        byte, bit = divmod(shard - _LOWEST, 8)
        return byte < len(self._bits) and bool(self._bits[byte] >> bit & 1)

    def add(self, shard: int) -> bool:
        """Add a shard; return False if it was in the set before."""
        assert shard >= _LOWEST, f"shard {shard}: numbers begin at {_LOWEST}"
        byte, bit = divmod(shard - _LOWEST, 8)
        if byte >= len(self._bits):
            self._bits.extend(bytes(max(byte + 1, 2 * len(self._bits)) - len(self._bits)))
        if self._bits[byte] >> bit & 1:
            return False
        self._bits[byte] |= 1 << bit
        self._count += 1
        return True
