"""Exact duplicates: roots with the same bytes, and roots that a site's own id says are the same video and span.

Only roots whose size another root has are read; their SHA-256 decides.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.semantic.cluster_tree import Integers
from curation.selection.deduplication.work_files import load_arrays, save_arrays
from curation.stages.stage_result import stage_result
from runtime.ray_runner.stage import Service, ShardResult
from shards.keys import shard_name
from shards.reader import read_table, shards_in
from shards.storage.store import Store
from shards.storage.tar import read_span


@dataclass(frozen=True)
class ExactWork:
    """All that the workers need; pickled into their processes."""

    root: str
    folder: str
    """Folder of the work in the DIR."""
    roots: Mapping[int, Integers]
    """For each shard with roots to be read: a row each of clip, byte offset, byte size."""

    @cached_property
    def store(self) -> Store:
        """The DIR."""
        return Store(self.root)

    def hashes_file(self, shard: int) -> str:
        """File of the hashes of a shard's roots."""
        return f"{self.folder}/hashes/{shard_name(shard)}.npz"


class HashWorker:
    """Hashes those roots of a shard that may be equal to others."""

    def __init__(self, work: ExactWork) -> None:
        self._work = work

    async def process(self, shard: int) -> ShardResult:
        """Hash the roots of one shard."""
        return await stage_result(f"hash {shard_name(shard)}", asyncio.to_thread(self._make, shard))

    def _make(self, shard: int) -> Mapping[str, float]:
        work = self._work
        rows = work.roots[shard]
        tar = f"media/{shard_name(shard)}.tar"
        digests = [
            hashlib.sha256(read_span(work.store, tar, offset, size)).digest() for _, offset, size in rows.tolist()
        ]
        data = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        save_arrays(work.store, work.hashes_file(shard), clip=rows[:, 0], digest=data)
        return {"hashed": len(rows)}


def build_hash(work: ExactWork, services: Mapping[str, Service]) -> HashWorker:
    """Build the worker that hashes roots."""
    return HashWorker(work)


def roots_to_hash(clips: ClipList, new: frozenset[int]) -> dict[int, Integers]:
    """Return for each shard the roots whose size is that of another root, one of them new: clip, offset, size."""
    roots = clips.roots
    size, offset = (clips.table[name].to_numpy()[roots] for name in ("byte_size", "byte_offset"))
    shard = clips.table["shard"].to_numpy()[roots]
    is_new = np.isin(shard, sorted(new))
    _, group, count = np.unique(size, return_inverse=True, return_counts=True)
    fresh = np.bincount(group, is_new, len(count))
    wanted = (count[group] > 1) & (fresh[group] > 0)
    rows = np.stack([roots, offset, size], axis=1)[wanted].astype(np.int64)
    return {int(one): rows[shard[wanted] == one] for one in np.unique(shard[wanted])}


def equal_bytes(work: ExactWork, shards: Mapping[int, Integers]) -> list[Integers]:
    """Return the groups of clips whose roots have equal hashes."""
    parts = [load_arrays(work.store, work.hashes_file(shard)) for shard in sorted(shards)]
    if not parts:
        return []
    clip = np.concatenate([part["clip"] for part in parts])
    digest = np.concatenate([part["digest"] for part in parts])
    keys = np.ascontiguousarray(digest).view("V32")[:, 0]
    return _groups(clip, np.unique(keys, return_inverse=True)[1])


def equal_ids(store: Store, clips: ClipList, new: frozenset[int]) -> list[Integers]:
    """Return the groups of roots that are the same span of the same video of a site, by the site's id; one is new."""
    dated = set(shards_in(store.list("videos")))
    columns = ["root_key", "video_site", "video_site_id"]
    tables = [
        read_table(store, f"videos/{shard_name(shard)}.parquet", columns) for shard in clips.shards if shard in dated
    ]
    if not tables:
        return []
    videos = pa.concat_tables(tables)
    videos = videos.filter(pc.and_(pc.is_valid(videos["video_site"]), pc.is_valid(videos["video_site_id"])))
    keys = clips.table["key"].take(pa.array(clips.roots)).combine_chunks()
    where = pc.index_in(videos["root_key"].combine_chunks(), value_set=keys)
    videos = videos.filter(where.is_valid())
    root = clips.roots[np.asarray(where.drop_null().to_numpy(), np.int64)]
    texts = zip(
        videos["video_site"].to_pylist(),
        videos["video_site_id"].to_pylist(),
        np.round(clips.table["start"].to_numpy()[root], 3).tolist(),
        np.round(clips.table["end"].to_numpy()[root], 3).tolist(),
        strict=True,
    )
    numbers: dict[tuple[object, ...], int] = {}
    label = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)
    is_new = np.isin(clips.table["shard"].to_numpy(), sorted(new))
    return [group for group in _groups(root, label) if is_new[group].any()]


def stars(groups: list[Integers], rank: Integers) -> tuple[Integers, Integers]:
    """Return pairs of each member of a group with its member of the best rank."""
    ones, others = [], []
    for group in groups:
        best = group[np.argmin(rank[group])]
        rest = group[group != best]
        ones.append(rest)
        others.append(np.full(len(rest), best))
    if not ones:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(ones), np.concatenate(others)


def _groups(clip: Integers, label: Integers) -> list[Integers]:
    """Return the clips of each label that several distinct clips have."""
    order = np.lexsort((clip, label))
    clip, label = clip[order], label[order]
    cuts = np.flatnonzero(label[1:] != label[:-1]) + 1
    parts = (np.unique(part) for part in np.split(clip, cuts))
    return [part for part in parts if len(part) > 1]
