"""The table of duplicates: pairs of all kinds in, ``duplicates/<name>.parquet`` out, with the figures for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.dedup_settings import FOLDER, DedupSettings
from curation.selection.deduplication.duplicate_marks import (
    KINDS,
    Kind,
    Marks,
    RootPair,
    Trees,
    mark_roots,
    mark_vectors,
    ranked_links,
)
from curation.selection.deduplication.pair_kind import Integers, PairKind
from curation.selection.deduplication.semantic.leader_rule import removed_shares
from curation.selection.deduplication.semantic.similar_pairs import Links
from runtime.settings import content_hash
from shards.artifact import Artifact
from shards.schema import DUPLICATES
from shards.storage.store import Store
from shards.writer import commit_table

_CURVE_STEPS: Final = 11


@dataclass(frozen=True)
class DedupResult:
    """The result of a run."""

    file: str
    """Name of the table in the DIR."""
    clips: int
    """Clips of the DIR."""
    removed: dict[Kind, int]
    """Clips that go, by kind."""
    groups: int
    hours: float
    """Of the clips that go; nested clips count once each."""
    curve: list[tuple[float, float]] = field(default_factory=list)
    """Thresholds of the cosine, and the share of clips that go at each; empty without vectors."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Shards that a kind could not look at, because they have no scores yet."""


def write_duplicates(
    store: Store, scratch: Path, settings: DedupSettings, clips: ClipList, rank: Integers, kinds: Sequence[PairKind]
) -> DedupResult:
    """Decide which clips go, and commit the table.

    Args:
        store: the DIR.
        scratch: an existing folder on a local disk.
        settings: of the table.
        clips: all clips.
        rank: of each clip.
        kinds: the kinds of pairs, all compared; their pairs are read from their tables.
    """
    marks = Marks.none(len(clips))
    pairs = {kind.table.kind: kind.table.pairs() for kind in kinds}
    _mark_roots(marks, settings, clips, rank, pairs)
    curve: list[tuple[float, float]] = []
    if settings.semantic is not None:
        links = _links(clips, pairs["semantic"])
        thresholds = np.linspace(settings.semantic.least, 1.0, _CURVE_STEPS).round(3).tolist()
        shares = removed_shares(ranked_links(rank, links), thresholds, marks.gone[np.argsort(rank, kind="stable")])
        curve = list(zip(thresholds, shares, strict=True))
        mark_vectors(marks, rank, links, settings.semantic.threshold)
    marks.settle()
    result = _result(settings, clips, marks, curve, kinds)
    inputs = {name: digest for kind in kinds for own in kind.digests.values() for name, digest in own.items()}
    counts: dict[str, float] = {
        "clips": result.clips,
        "groups": result.groups,
        **{f"gone:{kind}": n for kind, n in result.removed.items()},
    }
    counts |= {f"gone_at:{threshold}": share for threshold, share in curve}
    record = Artifact("dedup", content_hash("dedup", settings), inputs=inputs, counts=counts)
    commit_table(store, scratch, result.file, duplicate_rows(clips, marks), record, DUPLICATES)
    return result


def duplicate_rows(clips: ClipList, marks: Marks) -> pa.Table:
    """Return a row for each clip that goes, and for each that stays in the place of one, in the order of clips."""
    gone = np.flatnonzero(marks.gone)
    kept, first = np.unique(marks.leader[gone], return_index=True)
    numbers = np.concatenate([gone, kept])
    order = np.argsort(numbers, kind="stable")
    columns = {
        "key": clips.table["key"].take(pa.array(numbers[order])),
        "shard": clips.table["shard"].take(pa.array(numbers[order])),
        "group": clips.table["key"].take(pa.array(np.concatenate([marks.leader[gone], kept])[order])),
        "kind": pa.array([KINDS[kind] for kind in np.concatenate([marks.kind[gone], marks.kind[gone][first]])[order]]),
        "score": pa.array(np.concatenate([marks.score[gone], np.ones(len(kept), np.float32)])[order], pa.float32()),
        "keep": pa.array((np.concatenate([np.zeros(len(gone)), np.ones(len(kept))])[order]).astype(bool)),
    }
    return pa.table(columns).cast(DUPLICATES)


def _mark_roots(
    marks: Marks, settings: DedupSettings, clips: ClipList, rank: Integers, pairs: dict[str, pa.Table]
) -> None:
    start, end = (clips.table[name].to_numpy() for name in ("start", "end"))
    trees = Trees(rank, clips.root_of, start - start[clips.root_of], end - start[clips.root_of])
    share = settings.perceptual.share if settings.perceptual is not None else 1.0
    for kind in ("exact", "perceptual"):
        if kind in pairs:
            mark_roots(marks, trees, list(_root_pairs(kind, clips, trees, pairs[kind])), share)


def _root_pairs(kind: Kind, clips: ClipList, trees: Trees, pairs: pa.Table) -> Iterator[RootPair]:
    one, other = _numbers(clips, pairs)
    spans = [pairs[name].to_pylist() for name in ("start", "end", "other_start", "other_end")]
    for a, b, score, *times in zip(one.tolist(), other.tolist(), pairs["score"].to_pylist(), *spans, strict=True):
        whole = (trees.begin[a], trees.end[a], trees.begin[b], trees.end[b])
        start, end, other_start, other_end = whole if times[0] is None else times
        yield RootPair(kind, a, b, start, end, other_start, other_end, score)


def _links(clips: ClipList, pairs: pa.Table) -> Links:
    one, other = _numbers(clips, pairs)
    return Links(one, other, np.asarray(pairs["score"].to_numpy(), np.float32))


def _numbers(clips: ClipList, pairs: pa.Table) -> tuple[Integers, Integers]:
    return (
        clips.numbers(pairs["shard"].to_numpy(), pairs["row"].to_numpy()),
        clips.numbers(pairs["other_shard"].to_numpy(), pairs["other_row"].to_numpy()),
    )


def _result(
    settings: DedupSettings,
    clips: ClipList,
    marks: Marks,
    curve: list[tuple[float, float]],
    kinds: Sequence[PairKind],
) -> DedupResult:
    gone = marks.gone
    seconds = clips.table["end"].to_numpy() - clips.table["start"].to_numpy()
    removed: dict[Kind, int] = {kind: int((marks.kind == number).sum()) for number, kind in enumerate(KINDS)}
    asked = {"exact": settings.exact, "perceptual": settings.perceptual, "semantic": settings.semantic}
    return DedupResult(
        f"{FOLDER}/{settings.name}.parquet",
        len(clips),
        {kind: count for kind, count in removed.items() if asked[kind]},
        len(np.unique(marks.leader[gone])),
        float(seconds[gone].sum()) / 3600,
        curve,
        {kind.table.kind: kind.left_out for kind in kinds if kind.left_out},
    )
