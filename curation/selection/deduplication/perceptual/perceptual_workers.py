"""The workers that compare frame hashes: one finds candidates among all roots, many align the candidates over time.

scores/<set>/*.parquet -> candidates.npz -> aligned/<unit>.npz
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from curation.selection.deduplication.perceptual.frame_alignment import Alignment, AlignmentLimits, align
from curation.selection.deduplication.perceptual.frame_hash import mirrored
from curation.selection.deduplication.perceptual.hash_index import candidate_pairs
from curation.selection.deduplication.perceptual.root_hashes import RootHashes, read_root_hashes
from curation.selection.deduplication.semantic.cluster_tree import Integers
from curation.selection.deduplication.work_files import load_arrays, save_arrays
from curation.stages.stage_result import stage_result
from runtime.ray_runner.stage import Service, ShardResult
from shards.keys import shard_name
from shards.storage.store import Store

_CLIPS_OF_A_UNIT: Final = 20_000


@dataclass(frozen=True)
class PerceptualWork:
    """All that the workers need; pickled into their processes."""

    root: str
    """Path or URL of the DIR."""
    folder: str
    """Folder of the work in the DIR."""
    set_name: str
    """Score set of the hashes."""
    shards: tuple[int, ...]
    first: Integers
    """Number of each shard's first clip."""
    new: frozenset[int]
    """Shards that have not been compared yet."""
    rank: Integers
    """Of each clip."""
    limits: AlignmentLimits

    @cached_property
    def store(self) -> Store:
        """The DIR."""
        return Store(self.root)

    @property
    def units(self) -> int:
        """Number of units into which the candidates are divided."""
        return max(1, -(-len(self.rank) // _CLIPS_OF_A_UNIT))

    @property
    def candidates_file(self) -> str:
        """File of the candidates and the hashes."""
        return f"{self.folder}/candidates.npz"

    def aligned_file(self, unit: int) -> str:
        """File of the alignments of a unit."""
        return f"{self.folder}/aligned/{shard_name(unit)}.npz"


class CandidateWorker:
    """Reads the hashes of all roots, and lists the pairs to align."""

    def __init__(self, work: PerceptualWork) -> None:
        self._work = work

    async def process_all(self, shards: Sequence[int]) -> ShardResult:
        """List the candidates; see `runtime.ray_runner.table_stage.TableWorker`."""
        return await stage_result("candidates", asyncio.to_thread(self._make))

    def _make(self) -> Mapping[str, float]:
        work = self._work
        roots = read_root_hashes(work.store, work.set_name, work.shards, work.first, work.new)
        order = np.argsort(work.rank[roots.clip], kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        is_new = roots.is_new[order]
        pairs = candidate_pairs(roots.hashes, mirrored(roots.hashes), place[roots.root_of_frame], is_new)
        save_arrays(
            work.store,
            work.candidates_file,
            one=order[pairs.one],
            other=order[pairs.other],
            is_mirrored=pairs.is_mirrored,
            **roots.arrays(),
        )
        return {"roots": len(roots.clip), "frames": len(roots.hashes), "candidates": len(pairs.one)}


class AlignWorker:
    """Aligns the candidates of a unit over time."""

    def __init__(self, work: PerceptualWork) -> None:
        self._work = work

    @cached_property
    def _candidates(self) -> dict[str, NDArray[Any]]:
        return load_arrays(self._work.store, self._work.candidates_file)

    async def process(self, shard: int) -> ShardResult:
        """Align the candidates of the unit with this number."""
        return await stage_result(f"align {shard}", asyncio.to_thread(self._make, shard))

    def _make(self, unit: int) -> Mapping[str, float]:
        work, columns = self._work, self._candidates
        roots = RootHashes.of(columns)
        mine = slice(unit, None, work.units)
        rows = zip(*(columns[name][mine].tolist() for name in ("one", "other", "is_mirrored")), strict=True)
        found: dict[tuple[int, int], Alignment] = {}
        for one, other, is_mirrored in rows:
            alignment = align_roots(roots, one, other, is_mirrored, work.limits)
            if alignment is not None:
                keep_best(found, one, other, alignment)
        save_alignments(work.store, work.aligned_file(unit), roots, found)
        return {"aligned": len(found)}


def align_roots(
    roots: RootHashes, one: int, other: int, is_mirrored: bool, limits: AlignmentLimits
) -> Alignment | None:
    """Return the alignment of two roots, of which the first is mirrored if so asked; None if there is none."""
    times_a, hashes_a = roots.frames(one)
    times_b, hashes_b = roots.frames(other)
    return align(times_a, mirrored(hashes_a) if is_mirrored else hashes_a, times_b, hashes_b, limits)


def keep_best(found: dict[tuple[int, int], Alignment], one: int, other: int, alignment: Alignment) -> None:
    """Add an alignment to those of unordered pairs; of two of a pair the longer one stays."""
    pair = (one, other) if one < other else (other, one)
    alignment = alignment if one < other else alignment.swapped()
    if pair not in found or alignment.end_a - alignment.start_a > found[pair].end_a - found[pair].start_a:
        found[pair] = alignment


def save_alignments(store: Store, name: str, roots: RootHashes, found: Mapping[tuple[int, int], Alignment]) -> None:
    """Write alignments as arrays: numbers of the two clips, spans, similarity."""
    pairs = np.array(list(found), np.int64).reshape(-1, 2)
    values = [(each.start_a, each.end_a, each.start_b, each.end_b, each.similarity) for each in found.values()]
    save_arrays(store, name, pairs=roots.clip[pairs], values=np.array(values, np.float32).reshape(-1, 5))


def limits_of(distance: int, mean_distance: float, seconds: float) -> AlignmentLimits:
    """Return the limits that the settings state."""
    return replace(AlignmentLimits(), distance=distance, mean_distance=mean_distance, seconds=seconds)


def build_candidates(work: PerceptualWork, services: Mapping[str, Service]) -> CandidateWorker:
    """Build the worker that lists candidates."""
    return CandidateWorker(work)


def build_align(work: PerceptualWork, services: Mapping[str, Service]) -> AlignWorker:
    """Build the worker that aligns."""
    return AlignWorker(work)
