"""The videos of a benchmark at hand: a folder of files, or a DIR that `curate run` made of them with equal scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.selection.decontamination.benchmark_items import BenchmarkItem
from curation.selection.decontamination.known_names import known_sources
from curation.selection.decontamination.match import Match
from curation.selection.decontamination.video_hashes import VideoHashes, hash_videos
from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.perceptual.root_hashes import RootHashes, read_root_hashes
from curation.selection.deduplication.semantic.semantic_workers import unit_vectors
from runtime.annotation_files import VideoFiles
from runtime.errors import UserError, nearest
from shards.manifest import MANIFEST
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store

_BLOCK = 4096


@dataclass(frozen=True)
class ItemVideos:
    """Hashes of the items whose video is at hand."""

    hashes: tuple[tuple[str, VideoHashes], ...]
    """Item and hashes; an item may have several videos."""
    missing: int
    """Items without a video."""
    unreadable: int = 0


def is_dir_of_curate(videos: Path) -> bool:
    """Return True if a folder is one that `curate run` wrote."""
    return (videos / MANIFEST).is_file()


def hashes_of_files(videos: Path, items: Sequence[BenchmarkItem]) -> ItemVideos:
    """Return the hashes of the files in a folder that items have.

    Raises:
        UserError: there is no such folder, or no video in it.
    """
    files = VideoFiles(videos)
    paths = [(item.id, path) for item in items if (path := _file_of(files, item)) is not None]
    if not paths:
        raise UserError(
            f"--videos {videos}: none of the {len(files)} videos in it is named like one of {len(items)} videos of the "
            f"benchmark, such as {items[0].id}"
        )
    found, unreadable = hash_videos([path for _, path in paths])
    hashes = tuple((paths[number][0], each) for number, each in found.items())
    return ItemVideos(hashes, len(items) - len(paths), unreadable)


def _file_of(files: VideoFiles, item: BenchmarkItem) -> Path | None:
    names = [item.id]
    for site in item.sites:
        video = site.partition(":")[2]
        if item.span is not None:
            names.append(f"{video}_{round(item.span[0]):06d}_{round(item.span[1]):06d}")
        names.append(video)
    return next((path for name in names if (path := files.find(name)) is not None), None)


@dataclass(frozen=True)
class CuratedBenchmark:
    """A DIR of a benchmark's videos."""

    store: Store
    clips: ClipList
    item_of: dict[int, str]
    """Item of each clip that belongs to one."""

    @classmethod
    def open(cls, videos: Path, items: Sequence[BenchmarkItem]) -> CuratedBenchmark:
        """Open the DIR, and look up which item each clip belongs to.

        Raises:
            UserError: there is no media, or no source is a video of the benchmark.
        """
        store = Store(videos)
        clips = ClipList.read(store)
        by_name = {name: item.id for item in items for name in (*(s.partition(":")[2] for s in item.sites), item.id)}
        item_of: dict[int, str] = {}
        for source in known_sources(store, clips.shards, clips.first):
            names = source.names | {site.partition(":")[2] for site in source.sites}
            item = next((by_name[name] for name in sorted(names, reverse=True) if name in by_name), None)
            if item is not None:
                item_of |= dict.fromkeys(source.clips.tolist(), item)
        if not item_of:
            raise UserError(f"--videos {videos}: none of its sources is one of {len(items)} videos of the benchmark")
        return cls(store, clips, item_of)

    def hashes(self, set_name: str, items: int) -> ItemVideos:
        """Return the hashes of the roots that belong to items, from a score set."""
        shards = self.clips.shards
        roots: RootHashes = read_root_hashes(self.store, set_name, shards, self.clips.first, ())
        own = [(self.item_of[clip], root) for root, clip in enumerate(roots.clip.tolist()) if clip in self.item_of]
        found = tuple((item, roots.frames(root)) for item, root in own)
        return ItemVideos(found, items - len({item for item, _ in found}))

    def matches(self, store: Store, clips: ClipList, vectors: str, threshold: float) -> Iterator[Match]:
        """Yield the clips of a DIR whose vectors are near those of the benchmark's clips.

        Raises:
            UserError: the vectors of the two were not made by the same model.
        """
        name, _, column = vectors.partition(".")
        mine, theirs = ScoreSet.open(store, name), ScoreSet.open(self.store, name)
        check_same_model(mine, theirs, column, vectors)
        parts = []
        for place, shard in enumerate(self.clips.shards):
            found_MD, rows = unit_vectors(theirs.vector(shard, column))
            numbers = rows + int(self.clips.first[place])
            known = np.array([number in self.item_of for number in numbers.tolist()], bool)
            parts.append((found_MD[known], numbers[known]))
        theirs_MD, numbers = (np.concatenate(each) for each in zip(*parts, strict=True))
        for place, shard in enumerate(clips.shards):
            if shard not in set(mine.shards):
                continue
            own_ND, rows = unit_vectors(mine.vector(shard, column))
            for at in range(0, len(own_ND), _BLOCK):
                similarity = own_ND[at : at + _BLOCK] @ theirs_MD.T
                for one, other in zip(*(each.tolist() for each in np.nonzero(similarity >= threshold)), strict=True):
                    clip = np.array([rows[at + one] + int(clips.first[place])], np.int64)
                    cosine = min(float(similarity[one, other]), 1.0)
                    yield Match(clip, self.item_of[int(numbers[other])], "semantic", cosine, f"cosine {cosine:.3f}")


def check_same_model(mine: ScoreSet, theirs: ScoreSet, column: str, vectors: str) -> None:
    """Refuse vectors that can't be compared.

    Raises:
        UserError: one of the sets lacks the vectors, or they are of other models.
    """
    for each in (mine, theirs):
        if column not in each.vectors:
            hint = nearest(column, each.vectors) if each.vectors else " (it has none)"
            raise UserError(f"--vectors {vectors}: {each.store.root} has no such vectors{hint}")
    one, other = mine.vectors[column], theirs.vectors[column]
    if (one.model, one.revision, one.width) != (other.model, other.revision, other.width):
        raise UserError(
            f"--vectors {vectors}: made by {one.model} ({one.width} numbers) in {mine.store.root}, but by "
            f"{other.model} ({other.width} numbers) in {theirs.store.root}; score both with the same model"
        )
