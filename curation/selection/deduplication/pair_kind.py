"""One kind of duplicates in a run: what is compared, the stages that compare it, and how their results become pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.pair_tables import PairPlan, PairTable, pair_rows
from runtime.errors import UserError
from runtime.ray_runner.table_stage import AnyStageSpec
from shards.keys import shard_name
from shards.reader import artifacts
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store

Integers = NDArray[np.int64]
Digests = Mapping[int, Mapping[str, str]]


class PairKind(Protocol):
    """The interface of a kind of duplicates."""

    @property
    def table(self) -> PairTable:
        """Its stored pairs."""

    @property
    def plan(self) -> PairPlan:
        """The comparisons to make."""

    @property
    def digests(self) -> Digests:
        """For each shard the digest of each artifact that is compared."""

    @property
    def left_out(self) -> int:
        """Number of shards that can't be compared, because they have no scores yet."""

    def stages(self) -> Sequence[AnyStageSpec]:
        """Return the stages, each with the units of work that are left."""

    def collect(self) -> pa.Table:
        """Return all pairs: those of before, and what the stages found (`pair_tables.PAIRS`)."""


@dataclass(frozen=True)
class ComparedShards:
    """The shards that can be compared, and the digests of what is compared."""

    digests: dict[int, dict[str, str]]
    left_out: tuple[int, ...]
    """Shards of the media that have no scores yet."""


def scored_shards(store: Store, clips: ClipList, scores: ScoreSet, option: str) -> ComparedShards:
    """Return the shards of a score set, with the digests of their media and scores.

    Raises:
        UserError: no shard has scores, or those of a shard were made from another media.
    """
    records = artifacts(store, scores.folder, [shard for shard in clips.shards if shard in set(scores.shards)])
    if not records:
        raise UserError(f"{option} {scores.name}: no shard has scores yet; run `curate run … --stages score` first")
    digests = {}
    for shard, record in records.items():
        media, digest = f"media/{shard_name(shard)}.parquet", clips.media[shard].digest
        if record.inputs.get(media, digest) != digest:
            raise UserError(
                f"{option} {scores.name}: the scores of shard {shard} were made from another media; "
                "run `curate run … --stages score` again"
            )
        digests[shard] = {media: digest, f"{scores.folder}/{shard_name(shard)}.parquet": record.digest}
    return ComparedShards(digests, tuple(shard for shard in clips.shards if shard not in digests))


def unfinished(store: Store, folder: str, units: Sequence[int], suffix: str = ".npz") -> tuple[int, ...]:
    """Return the units of work that have no file in a folder."""
    done = store.list(folder)
    return tuple(unit for unit in units if f"{shard_name(unit)}{suffix}" not in done)


def joined_pairs(plan: PairPlan, new: Sequence[pa.Table]) -> pa.Table:
    """Return the pairs of before and new ones, each pair once, in order."""
    pairs = pa.concat_tables([plan.pairs, *new])
    names = ["shard", "row", "other_shard", "other_row"]
    columns = [pairs[name].to_numpy() for name in names]
    order = np.lexsort((-pairs["score"].to_numpy(), *reversed(columns)))
    sorted_columns = [column[order] for column in columns]
    repeats = np.logical_and.reduce([column[1:] == column[:-1] for column in sorted_columns])
    return pairs.take(pa.array(order[np.r_[True, ~repeats][: len(order)]]))


def numbered_pairs(
    clips: ClipList,
    one: Integers,
    other: Integers,
    score: NDArray[np.float32],
    spans: Sequence[NDArray[np.float32]] | None = None,
) -> pa.Table:
    """Return pairs of clips, given by number, as rows of `PAIRS`."""
    return pair_rows(clips.shard_and_row(one), clips.shard_and_row(other), score, spans)
