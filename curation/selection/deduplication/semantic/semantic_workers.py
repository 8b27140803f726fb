"""The workers that compare vectors: train the tree, sort each shard's vectors by leaf, compare the leaves.

    scores/<set>/*.npy -> tree.npz -> sorted/<shard>.{rows,npz} -> pairs/<bucket>.npz

Each unit of work is one file in the plan's folder, so a killed run goes on where it was. Memory is bounded by a bucket:
leaves that have `BUCKET_BYTES` of vectors together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from curation.selection.deduplication.semantic.cluster_tree import VISITS, ClusterTree, Floats, Integers, sample_size
from curation.selection.deduplication.semantic.similar_pairs import Links, similar_pairs
from curation.selection.deduplication.work_files import load_arrays, load_rows, save_arrays, save_rows
from curation.stages.stage_result import stage_result
from runtime.ray_runner.stage import Service, ShardResult
from shards.keys import shard_name
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store

BUCKET_BYTES: Final = 192 * 2**20
_LEAST_LENGTH: Final = 1e-6


@dataclass(frozen=True)
class SemanticWork:
    """All that the workers need; pickled into their processes."""

    root: str
    """Path or URL of the DIR."""
    folder: str
    """Folder of the work in the DIR."""
    set_name: str
    column: str
    width: int
    """Numbers in a vector (D)."""
    floor: float
    shards: tuple[int, ...]
    first: Integers
    """Number of each shard's first clip."""
    clips: int
    """Number of clips of all shards."""
    new: frozenset[int]
    """Shards that have not been compared yet."""
    rank: Integers
    """Of each clip."""
    level: Integers
    """Of each clip: only clips of one level are compared."""

    @cached_property
    def store(self) -> Store:
        """The DIR."""
        return Store(self.root)

    @cached_property
    def scores(self) -> ScoreSet:
        """The score set of the vectors."""
        return ScoreSet.open(self.store, self.set_name)

    @property
    def buckets(self) -> int:
        """Number of units into which the leaves are divided."""
        return max(1, -(-self.clips * VISITS * 2 * self.width // BUCKET_BYTES))

    @property
    def tree_file(self) -> str:
        """File of the tree."""
        return f"{self.folder}/tree.npz"

    def sorted_file(self, shard: int) -> str:
        """File of a shard's rows and leaves; its vectors are beside it."""
        return f"{self.folder}/sorted/{shard_name(shard)}.npz"

    def pairs_file(self, bucket: int) -> str:
        """File of the pairs of a bucket."""
        return f"{self.folder}/pairs/{shard_name(bucket)}.npz"


def unit_vectors(vectors_ND: NDArray[np.floating]) -> tuple[Floats, Integers]:
    """Return vectors scaled to length 1, and their rows; those with NaN or infinity, or of length 0, are left out."""
    wide_ND = np.asarray(vectors_ND, np.float32)
    length_N = np.linalg.norm(wide_ND, axis=1)
    rows = np.flatnonzero(np.isfinite(length_N) & (length_N > _LEAST_LENGTH))
    return wide_ND[rows] / length_N[rows, None], rows


class TreeWorker:
    """Trains the tree on a sample that is spread over all shards."""

    def __init__(self, work: SemanticWork) -> None:
        self._work = work

    async def process_all(self, shards: Sequence[int]) -> ShardResult:
        """Make the tree; see `runtime.ray_runner.table_stage.TableWorker`."""
        return await stage_result("cluster", asyncio.to_thread(self._make))

    def _make(self) -> Mapping[str, float]:
        work = self._work
        total = work.clips
        every = max(1, total // sample_size(total))
        sample_ND = np.concatenate([self._spread(shard, every) for shard in work.shards])
        if not len(sample_ND):
            sample_ND = np.zeros((1, work.width), np.float32)
        tree = ClusterTree.train(sample_ND, total)
        save_arrays(work.store, work.tree_file, centroids=tree.centroids, first=tree.first, child=tree.child)
        return {"leaves": tree.leaves}

    def _spread(self, shard: int, every: int) -> Floats:
        """Return every n-th vector of a shard, counted over all shards."""
        begin = int(self._work.first[self._work.shards.index(shard)])
        vectors = self._work.scores.vector(shard, self._work.column)
        return unit_vectors(vectors[-begin % every :: every])[0]


class SortWorker:
    """Sorts the vectors of a shard by leaf; each is in the few leaves that it visits."""

    def __init__(self, work: SemanticWork) -> None:
        self._work = work

    @cached_property
    def _tree(self) -> ClusterTree:
        return ClusterTree(**load_arrays(self._work.store, self._work.tree_file))

    async def process(self, shard: int) -> ShardResult:
        """Sort one shard."""
        return await stage_result(f"sort {shard_name(shard)}", asyncio.to_thread(self._make, shard))

    def _make(self, shard: int) -> Mapping[str, float]:
        work = self._work
        vectors = work.scores.vector(shard, work.column)
        vectors_ND, rows = unit_vectors(vectors)
        places = self._tree.assign(vectors_ND)
        entry, beam = np.nonzero(places >= 0)
        leaf = places[entry, beam]
        order = np.argsort(leaf, kind="stable")
        name = work.sorted_file(shard)
        save_rows(work.store, name.replace(".npz", ".rows"), vectors_ND[entry[order]].astype(np.float16))
        save_arrays(work.store, name, leaf=leaf[order].astype(np.int32), row=rows[entry[order]].astype(np.int32))
        return {"vectors": len(rows), "without_vector": len(vectors) - len(rows)}


class CompareWorker:
    """Compares the vectors of a bucket of leaves with each other."""

    def __init__(self, work: SemanticWork) -> None:
        self._work = work

    @cached_property
    def _leaves(self) -> int:
        return ClusterTree(**load_arrays(self._work.store, self._work.tree_file)).leaves

    async def process(self, shard: int) -> ShardResult:
        """Compare the leaves of the bucket with this number."""
        return await stage_result(f"compare {shard}", asyncio.to_thread(self._make, shard))

    def _make(self, bucket: int) -> Mapping[str, float]:
        work = self._work
        low, high = (number * self._leaves // work.buckets for number in (bucket, bucket + 1))
        links = list(self._links(low, high))
        columns = [np.concatenate([each[place] for each in links]) if links else np.empty(0) for place in range(3)]
        later, earlier, similarity = columns
        save_arrays(
            work.store,
            work.pairs_file(bucket),
            later=later.astype(np.int64),
            earlier=earlier.astype(np.int64),
            similarity=similarity.astype(np.float32),
        )
        return {"pairs": len(later)}

    def _links(self, low: int, high: int) -> Iterator[Links]:
        """Yield the pairs of each leaf and level, in numbers of clips."""
        leaf, clip, is_new, vectors_ND = self._bucket(low, high)
        if not len(leaf):
            return
        level, rank = self._work.level[clip], self._work.rank[clip]
        order = np.lexsort((rank, level, leaf))
        leaf, level = leaf[order], level[order]
        starts = np.flatnonzero(np.r_[True, (leaf[1:] != leaf[:-1]) | (level[1:] != level[:-1])])
        for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(leaf)], strict=True):
            own = order[begin:end]
            if end - begin > 1 and is_new[own].any():
                own_ND = unit_vectors(vectors_ND[own])[0]
                links = similar_pairs(own_ND, is_new[own], self._work.floor)
                yield Links(clip[own][links.later], clip[own][links.earlier], links.similarity)

    def _bucket(self, low: int, high: int) -> tuple[Integers, Integers, NDArray[np.bool_], NDArray[np.float16]]:
        """Return leaf, number of the clip, newness and vector of all entries of some leaves."""
        work = self._work
        parts: list[tuple[Any, ...]] = []
        for number, shard in enumerate(work.shards):
            name = work.sorted_file(shard)
            entries = load_arrays(work.store, name)
            first, last = np.searchsorted(entries["leaf"], [low, high]).tolist()
            vectors = load_rows(work.store, name.replace(".npz", ".rows"), first, last, work.width)
            clip = entries["row"][first:last].astype(np.int64) + int(work.first[number])
            new = np.full(last - first, shard in work.new)
            parts.append((entries["leaf"][first:last].astype(np.int64), clip, new, vectors))
        leaf, clip, new, vectors = (np.concatenate(column) for column in zip(*parts, strict=True))
        return leaf, clip, new, vectors


def build_tree(work: SemanticWork, services: Mapping[str, Service]) -> TreeWorker:
    """Build the worker that trains the tree."""
    return TreeWorker(work)


def build_sort(work: SemanticWork, services: Mapping[str, Service]) -> SortWorker:
    """Build the worker that sorts shards."""
    return SortWorker(work)


def build_compare(work: SemanticWork, services: Mapping[str, Service]) -> CompareWorker:
    """Build the worker that compares buckets."""
    return CompareWorker(work)
