"""Exact duplicates as a kind of pairs: roots of equal size are hashed, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pyarrow as pa

from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.dedup_settings import DedupSettings
from curation.selection.deduplication.exact.exact_matches import (
    ExactWork,
    build_hash,
    equal_bytes,
    equal_ids,
    roots_to_hash,
    stars,
)
from curation.selection.deduplication.pair_kind import Digests, Integers, joined_pairs, numbered_pairs, unfinished
from curation.selection.deduplication.pair_tables import PairPlan, PairTable
from runtime.ray_runner.stage import PoolSettings, StageSpec
from runtime.ray_runner.table_stage import AnyStageSpec
from runtime.settings import content_hash
from shards.keys import shard_name
from shards.reader import artifacts
from shards.storage.store import Store

_VERSION = 1


@dataclass(frozen=True)
class ExactKind:
    """See `curation.selection.deduplication.pair_kind.PairKind`."""

    clips: ClipList
    rank: Integers
    table: PairTable
    plan: PairPlan
    digests: Digests
    left_out: int = 0

    @property
    def _new(self) -> frozenset[int]:
        return frozenset(self.plan.shards) - self.plan.compared

    @cached_property
    def _work(self) -> ExactWork:
        return ExactWork(self.table.store.root, self.plan.work, roots_to_hash(self.clips, self._new))

    def stages(self) -> Sequence[AnyStageSpec]:
        """Return the stage that hashes."""
        work = self._work
        left = unfinished(self.table.store, f"{work.folder}/hashes", sorted(work.roots))
        return [StageSpec("hash", partial(build_hash, work), PoolSettings(max=4), left)]

    def collect(self) -> pa.Table:
        """Return all pairs; each member of a group is paired with the best one."""
        store = self.table.store
        groups = equal_bytes(self._work, self._work.roots) + equal_ids(store, self.clips, self._new)
        one, other = stars(groups, self.rank)
        found = numbered_pairs(self.clips, one, other, np.ones(len(one), np.float32))
        return joined_pairs(self.plan, [found])


def plan_exact(store: Store, settings: DedupSettings, clips: ClipList, rank: Integers) -> ExactKind:
    """Return what is to be done to find exact duplicates."""
    table = PairTable(store, settings.name, "exact", content_hash("exact", _VERSION, settings.keep))
    videos = artifacts(store, "videos")
    digests: dict[int, dict[str, str]] = {}
    for shard in clips.shards:
        digests[shard] = {f"media/{shard_name(shard)}.parquet": clips.media[shard].digest}
        if shard in videos:
            digests[shard][f"videos/{shard_name(shard)}.parquet"] = videos[shard].digest
    return ExactKind(clips, rank, table, table.plan(digests), digests)
