"""The way of shards through the stages of one group: which are ready for which stage, and which stage is done. Pure.

A shard is ready for a stage when no earlier stage of the group that lists it has still to finish it. The lists are read
once from front to back and are kept as bits, so that memory grows by a few bytes a shard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from runtime.ray_runner.shard_set import ShardSet


class ShardFlow:
    """The shards of each stage that are ready, in hand and done.

    Args:
        stages: in the order of the pipeline, each with the shards that it has to do.
    """

    def __init__(self, stages: Mapping[str, Sequence[int]]) -> None:
        self._order = list(stages)
        self._listed = [ShardSet(shards) for shards in stages.values()]
        self._ready = {
            name: _ReadyShards(self._fresh(i, stages[name]), sum(1 for _ in self._fresh(i, stages[name])))
            for i, name in enumerate(self._order)
        }
        self._left = {name: len(listed) for name, listed in zip(self._order, self._listed, strict=True)}
        self._in_hand = dict.fromkeys(self._order, 0)

    def take(self, stage: str) -> int | None:
        """Return the next shard that is ready for a stage, which then is in hand; None if there is none."""
        shard = self._ready[stage].pop()
        if shard is not None:
            self._in_hand[stage] += 1
        return shard

    def put_back(self, stage: str, shard: int) -> None:
        """Make a shard in hand ready again, before all others."""
        self._in_hand[stage] -= 1
        self._ready[stage].passed_on.appendleft(shard)

    def finish(self, stage: str, shard: int) -> None:
        """Note that a shard in hand has left a stage, and pass it to the next one that lists it."""
        self._in_hand[stage] -= 1
        self._left[stage] -= 1
        first = self._order.index(stage) + 1
        following = next((i for i in range(first, len(self._order)) if shard in self._listed[i]), None)
        if following is not None:
            self._ready[self._order[following]].passed_on.append(shard)

    def ready(self, stage: str) -> int:
        """Return the number of shards that are ready for a stage."""
        return self._ready[stage].count

    def in_hand(self, stage: str) -> int:
        """Return the number of shards that a stage's workers have."""
        return self._in_hand[stage]

    def left(self, stage: str) -> int:
        """Return the number of shards that have still to leave a stage."""
        return self._left[stage]

    def _fresh(self, stage: int, shards: Sequence[int]) -> Iterator[int]:
        """Yield the shards that no earlier stage lists."""
        earlier = self._listed[:stage]
        return (shard for shard in shards if not any(shard in listed for listed in earlier))


class _ReadyShards:
    """The shards that are ready for one stage: those passed on by earlier stages, then its own first ones.

    Args:
        fresh: the shards that begin at this stage.
        count: their number.
    """

    def __init__(self, fresh: Iterator[int], count: int) -> None:
        self.passed_on: deque[int] = deque()
        self._fresh = fresh
        self._fresh_left = count

    @property
    def count(self) -> int:
        """Number of shards that are ready."""
        return len(self.passed_on) + self._fresh_left

    def pop(self) -> int | None:
        """Return the next shard, or None."""
        if self.passed_on:
            return self.passed_on.popleft()
        if self._fresh_left == 0:
            return None
        self._fresh_left -= 1
        return next(self._fresh)
