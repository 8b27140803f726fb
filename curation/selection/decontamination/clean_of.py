"""`curate clean-of`: which clips show or say what a benchmark scores models on.

media, videos, text, scores + annotations, videos of the benchmark -> contamination/<name>.parquet
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader, read_items
from curation.selection.decontamination.benchmark_registry import benchmark_named
from curation.selection.decontamination.benchmark_videos import (
    CuratedBenchmark,
    ItemVideos,
    hashes_of_files,
    is_dir_of_curate,
)
from curation.selection.decontamination.caption_matches import CaptionIndex, caption_matches
from curation.selection.decontamination.clean_settings import FOLDER, CleanSettings
from curation.selection.decontamination.id_matches import id_matches
from curation.selection.decontamination.known_names import known_sources
from curation.selection.decontamination.match import Match, contamination_rows, match_counts
from curation.selection.decontamination.perceptual_matches import perceptual_matches
from curation.selection.decontamination.searched_texts import clip_texts
from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.pair_kind import scored_shards
from curation.selection.deduplication.perceptual.perceptual_workers import limits_of
from curation.selection.deduplication.perceptual.root_hashes import open_hashes, read_root_hashes
from runtime.errors import UserError
from runtime.settings import content_hash
from shards.artifact import Artifact
from shards.keys import shard_name
from shards.reader import artifacts
from shards.schema import CONTAMINATION
from shards.selections.clean_of import BENCHMARK
from shards.storage.store import Store
from shards.writer import commit_tables


@dataclass(frozen=True)
class CleanRequest:
    """One call of `curate clean-of`."""

    store: Store
    settings: CleanSettings
    annotations: Sequence[Path]
    videos: Path | None = None
    """Folder of the benchmark's videos, or a DIR that was curated from them."""
    hashes: str | None = None
    """Score set of the frame hashes; needed with `videos`."""
    vectors: str | None = None
    """``SET.column`` of vectors; needs a curated DIR as `videos`."""
    layers: Sequence[str] = ()
    """Text layers in which captions are looked for."""


@dataclass
class CleanResult:
    """The matches of a benchmark, and the number of things looked for."""

    file: str
    benchmark: str
    items: int
    """Videos of the benchmark."""
    rows: pa.Table
    counts: dict[str, float]
    notes: list[str] = field(default_factory=list)
    """Notes on comparisons that could not be made."""


def clean_of(request: CleanRequest) -> CleanResult:
    """Look for a benchmark in a DIR and write the table of matches; the caller holds the lock of the DIR.

    Raises:
        UserError: an unknown benchmark, a file of another form, no media, no hashes, vectors of another model.
        ShardError: a table is unreadable, or there is no such score set.
    """
    reader = benchmark_named(request.settings.benchmark)
    items = read_items(reader, request.annotations)
    clips = ClipList.read(request.store)
    notes: list[str] = []
    matches = list(_matches(request, reader, items, clips, notes))
    rows = contamination_rows(clips, reader.name, matches)
    counts = match_counts(rows)
    name = f"{FOLDER}/{request.settings.name}.parquet"
    record = Artifact("clean_of", _hash(request, items), inputs=_inputs(request, clips), counts=counts)
    with tempfile.TemporaryDirectory(prefix="curate-clean-of-") as scratch:
        local = Path(scratch)
        commit_tables(request.store, local, name, [rows], lambda: record, CONTAMINATION, {BENCHMARK: reader.name})
    return CleanResult(name, reader.name, len(items), rows, counts, notes)


def _matches(
    request: CleanRequest,
    reader: BenchmarkReader,
    items: Sequence[BenchmarkItem],
    clips: ClipList,
    notes: list[str],
) -> Iterator[Match]:
    """Yield the matches of each kind that can be looked for, and note what can't."""
    store, settings = request.store, request.settings
    yield from id_matches(reader, items, known_sources(store, clips.shards, clips.first))
    index = CaptionIndex.of(items, settings.words)
    if index.captions:
        yield from caption_matches(index, clip_texts(store, clips, request.layers), settings.share)
    notes.append(
        f"{len(index.captions)} captions looked for by runs of {settings.words} words; {index.too_short} are shorter"
    )
    if request.videos is None:
        notes.append("no --videos: pictures were not compared")
        return
    curated = CuratedBenchmark.open(request.videos, items) if is_dir_of_curate(request.videos) else None
    yield from _by_pictures(request, items, clips, curated, notes)
    if request.vectors is not None:
        if curated is None:
            raise UserError(
                f"--vectors {request.vectors}: needs vectors of the benchmark's videos: curate them into a DIR of "
                "their own with the same scores, and name it with --videos"
            )
        yield from curated.matches(store, clips, request.vectors, settings.threshold)


def _by_pictures(
    request: CleanRequest,
    items: Sequence[BenchmarkItem],
    clips: ClipList,
    curated: CuratedBenchmark | None,
    notes: list[str],
) -> Iterator[Match]:
    assert request.videos is not None
    if request.hashes is None:
        raise UserError("--videos: needs frame hashes of the clips; add frame_hashes to score.scores and run curate")
    scores = open_hashes(request.store, request.hashes)
    shards = sorted(scored_shards(request.store, clips, scores, "--perceptual").digests)
    if len(shards) < len(clips.shards):
        notes.append(f"{len(clips.shards) - len(shards)} shards have no frame hashes: their pictures were not compared")
    found: ItemVideos = (
        hashes_of_files(request.videos, items) if curated is None else curated.hashes(request.hashes, len(items))
    )
    if found.missing:
        notes.append(f"{found.missing} of {len(items)} videos are not in {request.videos}")
    if found.unreadable:
        notes.append(f"{found.unreadable} videos are unreadable")
    first = clips.numbers(shards, np.zeros(len(shards), np.int64))
    roots = read_root_hashes(request.store, request.hashes, shards, first, ())
    settings = request.settings
    limits = limits_of(settings.distance, settings.mean_distance, settings.seconds)
    yield from perceptual_matches(clips, roots, found.hashes, limits)


def _hash(request: CleanRequest, items: Sequence[BenchmarkItem]) -> str:
    """Return the hash of everything that was looked for."""
    looked_for = sorted((item.id, *item.sites, *item.texts) for item in items)
    looked_at = [str(request.videos), request.hashes, request.vectors, list(request.layers)]
    return content_hash("clean_of", request.settings, looked_for, looked_at)


def _inputs(request: CleanRequest, clips: ClipList) -> dict[str, str]:
    """Return the digest of each artifact that was looked at, by name."""
    inputs = {f"media/{shard_name(shard)}.parquet": record.digest for shard, record in clips.media.items()}
    folders = ["videos", *(f"text/{layer}" for layer in request.layers)]
    used = {request.hashes if request.videos else None, (request.vectors or "").partition(".")[0] or None}
    folders += [f"scores/{name}" for name in sorted(name for name in used if name)]
    for folder in folders:
        for shard, record in artifacts(request.store, folder).items():
            inputs[f"{folder}/{shard_name(shard)}.parquet"] = record.digest
    return inputs
