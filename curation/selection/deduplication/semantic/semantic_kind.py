"""Semantic duplicates as a kind of pairs: a tree of clusters, vectors sorted by leaf, and the pairs within leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pyarrow as pa

from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.dedup_settings import DedupSettings, SemanticSettings
from curation.selection.deduplication.pair_kind import (
    Digests,
    Integers,
    joined_pairs,
    numbered_pairs,
    scored_shards,
    unfinished,
)
from curation.selection.deduplication.pair_tables import PairPlan, PairTable
from curation.selection.deduplication.semantic.semantic_workers import (
    SemanticWork,
    build_compare,
    build_sort,
    build_tree,
)
from curation.selection.deduplication.work_files import load_arrays
from runtime.errors import UserError, nearest
from runtime.ray_runner.stage import PoolSettings, StageSpec
from runtime.ray_runner.table_stage import AnyStageSpec, TableStageSpec
from runtime.settings import content_hash
from shards.scores.score_set import ScoreSet, vector_shape
from shards.scores.score_writer import vector_file
from shards.storage.store import Store

_VERSION = 1


@dataclass(frozen=True)
class SemanticKind:
    """See `curation.selection.deduplication.pair_kind.PairKind`."""

    clips: ClipList
    rank: Integers
    table: PairTable
    plan: PairPlan
    digests: Digests
    left_out: int
    settings: SemanticSettings
    width: int
    """Numbers in a vector."""

    @cached_property
    def _work(self) -> SemanticWork:
        shards = self.plan.shards
        return SemanticWork(
            self.table.store.root,
            self.plan.work,
            self.settings.set_name,
            self.settings.column,
            self.width,
            self.settings.least,
            shards,
            self.clips.numbers(shards, np.zeros(len(shards), np.int64)),
            len(self.clips),
            frozenset(shards) - self.plan.compared,
            self.rank,
            self.clips.level,
        )

    def stages(self) -> Sequence[AnyStageSpec]:
        """Return the stages that train the tree, sort vectors, and compare them."""
        work, store = self._work, self.table.store
        todo = () if store.exists(work.tree_file) else work.shards
        buckets = unfinished(store, f"{work.folder}/pairs", range(work.buckets))
        to_sort = unfinished(store, f"{work.folder}/sorted", work.shards) if buckets else ()
        return [
            TableStageSpec(
                "cluster", partial(build_tree, work), PoolSettings(), (work.set_name,), self.table.file, todo
            ),
            StageSpec("sort", partial(build_sort, work), PoolSettings(max=64), to_sort),
            StageSpec("compare", partial(build_compare, work), PoolSettings(max=64), buckets),
        ]

    def collect(self) -> pa.Table:
        """Return all pairs."""
        found = []
        for bucket in range(self._work.buckets):
            arrays = load_arrays(self.table.store, self._work.pairs_file(bucket))
            found.append(numbered_pairs(self.clips, arrays["later"], arrays["earlier"], arrays["similarity"]))
        return joined_pairs(self.plan, found)


def plan_semantic(store: Store, settings: DedupSettings, clips: ClipList, rank: Integers) -> SemanticKind:
    """Return what is to be done to find semantic duplicates.

    Raises:
        UserError: the score set has no such vectors, or they are of another media, or of several widths.
        ShardError: there is no such set.
    """
    asked = settings.semantic
    assert asked is not None
    scores = ScoreSet.open(store, asked.set_name)
    compared = scored_shards(store, clips, scores, "--vectors")
    if asked.column not in scores.vectors:
        if not scores.vectors:
            raise UserError(
                f"--vectors {asked.vectors}: the score set has no vectors; add an embedding to score.scores"
            )
        raise UserError(f"--vectors {asked.vectors}: no such vectors{nearest(asked.column, scores.vectors)}")
    fact = scores.vectors[asked.column]
    _check_shapes(scores, asked, clips, tuple(compared.digests))
    content = {"vectors": asked.vectors, "floor": asked.least}
    hash_ = content_hash("semantic", _VERSION, content, settings.keep, scores.content_hash, fact.width)
    table = PairTable(store, settings.name, "semantic", hash_)
    return SemanticKind(
        clips, rank, table, table.plan(compared.digests), compared.digests, len(compared.left_out), asked, fact.width
    )


def _check_shapes(scores: ScoreSet, asked: SemanticSettings, clips: ClipList, shards: Sequence[int]) -> None:
    """Refuse vectors of several widths, which come from different models, and of another number of clips."""
    width = scores.vectors[asked.column].width
    for shard in shards:
        rows, own = vector_shape(scores.store, vector_file(scores.folder, shard, asked.column))
        place = clips.shards.index(shard)
        if own != width:
            raise UserError(
                f"--vectors {asked.vectors}: shard {shard} has {own} numbers in a vector, others have {width}: "
                "they are of different models; make the set again with one"
            )
        if rows != clips.first[place + 1] - clips.first[place]:
            raise UserError(f"--vectors {asked.vectors}: shard {shard} has {rows} vectors for another number of clips")
