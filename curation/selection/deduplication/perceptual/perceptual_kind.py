"""Perceptual duplicates as a kind of pairs: candidates among all roots, then alignments, unit by unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pyarrow as pa

from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.dedup_settings import DedupSettings
from curation.selection.deduplication.pair_kind import (
    Digests,
    Integers,
    joined_pairs,
    numbered_pairs,
    scored_shards,
    unfinished,
)
from curation.selection.deduplication.pair_tables import PairPlan, PairTable
from curation.selection.deduplication.perceptual.frame_alignment import AlignmentLimits
from curation.selection.deduplication.perceptual.perceptual_workers import (
    PerceptualWork,
    build_align,
    build_candidates,
    limits_of,
)
from curation.selection.deduplication.perceptual.root_hashes import open_hashes
from curation.selection.deduplication.work_files import load_arrays
from runtime.ray_runner.stage import PoolSettings, StageSpec
from runtime.ray_runner.table_stage import AnyStageSpec, TableStageSpec
from runtime.settings import content_hash
from shards.storage.store import Store

_VERSION = 2


@dataclass(frozen=True)
class PerceptualKind:
    """See `curation.selection.deduplication.pair_kind.PairKind`."""

    clips: ClipList
    rank: Integers
    table: PairTable
    plan: PairPlan
    digests: Digests
    left_out: int
    set_name: str
    limits: AlignmentLimits

    @cached_property
    def _work(self) -> PerceptualWork:
        shards = self.plan.shards
        return PerceptualWork(
            self.table.store.root,
            self.plan.work,
            self.set_name,
            shards,
            self.clips.numbers(shards, np.zeros(len(shards), np.int64)),
            frozenset(shards) - self.plan.compared,
            self.rank,
            self.limits,
        )

    def stages(self) -> Sequence[AnyStageSpec]:
        """Return the stages that list candidates and align them."""
        work, store = self._work, self.table.store
        todo = () if store.exists(work.candidates_file) else work.shards
        units = unfinished(store, f"{work.folder}/aligned", range(work.units))
        return [
            TableStageSpec(
                "candidates", partial(build_candidates, work), PoolSettings(), (work.set_name,), self.table.file, todo
            ),
            StageSpec("align", partial(build_align, work), PoolSettings(max=64), units),
        ]

    def collect(self) -> pa.Table:
        """Return all pairs except those of one video at other times: a talk looks alike throughout, and is no copy."""
        work = self._work
        found = []
        for unit in range(work.units):
            arrays = load_arrays(self.table.store, work.aligned_file(unit))
            copies = ~self.clips.show_other_times(*arrays["pairs"].T)
            pairs, values = arrays["pairs"][copies], arrays["values"][copies]
            spans = [values[:, place] for place in range(4)]
            found.append(numbered_pairs(self.clips, pairs[:, 0], pairs[:, 1], values[:, 4], spans))
        return joined_pairs(self.plan, found)


def plan_perceptual(store: Store, settings: DedupSettings, clips: ClipList, rank: Integers) -> PerceptualKind:
    """Return what is to be done to find perceptual duplicates.

    Raises:
        UserError: the score set has no frame hashes, or they are of another media.
        ShardError: there is no such set.
    """
    asked = settings.perceptual
    assert asked is not None
    scores = open_hashes(store, asked.scores)
    compared = scored_shards(store, clips, scores, "--perceptual")
    hash_ = content_hash("perceptual", _VERSION, asked.pair_content(), settings.keep, scores.content_hash)
    table = PairTable(store, settings.name, "perceptual", hash_)
    limits = limits_of(asked.distance, asked.mean_distance, asked.seconds)
    return PerceptualKind(
        clips, rank, table, table.plan(compared.digests), compared.digests, len(compared.left_out), asked.scores, limits
    )
