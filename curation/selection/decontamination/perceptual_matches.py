"""Matches by pictures: roots of a DIR that show, over some seconds, what a video of a benchmark shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from curation.selection.decontamination.match import Match
from curation.selection.decontamination.video_hashes import VideoHashes
from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.perceptual.frame_alignment import Alignment, AlignmentLimits
from curation.selection.deduplication.perceptual.frame_hash import mirrored
from curation.selection.deduplication.perceptual.hash_index import candidate_pairs
from curation.selection.deduplication.perceptual.perceptual_workers import align_roots, keep_best
from curation.selection.deduplication.perceptual.root_hashes import RootHashes


def perceptual_matches(
    clips: ClipList,
    roots: RootHashes,
    videos: Sequence[tuple[str, VideoHashes]],
    limits: AlignmentLimits,
) -> Iterator[Match]:
    """Yield the matches; a clip counts if at least half of it, or the least length, is in the shared span.

    Args:
        clips: of the DIR.
        roots: their hashes.
        videos: item and hashes of each video of the benchmark.
        limits: on what counts as the same pictures.
    """
    both = _joined(roots, [hashes for _, hashes in videos])
    count = len(roots.clip)
    pairs = candidate_pairs(both.hashes, mirrored(both.hashes), both.root_of_frame, both.is_new)
    found: dict[tuple[int, int], Alignment] = {}
    flips = zip(pairs.one.tolist(), pairs.other.tolist(), pairs.is_mirrored.tolist(), strict=True)
    for one, other, is_mirrored in flips:
        if min(one, other) < count <= max(one, other):
            alignment = align_roots(both, one, other, is_mirrored, limits)
            if alignment is not None:
                keep_best(found, one, other, alignment)
    tree = _clips_of(clips)
    for (root, video), alignment in sorted(found.items()):
        number, item = int(roots.clip[root]), videos[video - count][0]
        covered = _covered(clips, number, tree[number], alignment, limits.seconds)
        reason = (
            f"shows {alignment.end_a - alignment.start_a:.1f} s of it "
            f"(from {alignment.start_b:.1f} s, speed {alignment.speed:.2f})"
        )
        yield Match(covered, item, "perceptual", alignment.similarity, reason)


def _joined(roots: RootHashes, videos: Sequence[VideoHashes]) -> RootHashes:
    """Return the roots followed by the videos of the benchmark, which count as new; their clip is -1."""
    lengths = np.array([len(hashes) for _, hashes in videos], np.int64)
    return RootHashes(
        np.concatenate([roots.hashes, *(hashes for _, hashes in videos)]),
        np.concatenate([roots.times, *(times for times, _ in videos)]),
        np.concatenate([roots.first, roots.first[-1] + np.cumsum(lengths)]),
        np.concatenate([roots.clip, np.full(len(videos), -1, np.int64)]),
        np.arange(len(roots.clip) + len(videos)) >= len(roots.clip),
    )


def _clips_of(clips: ClipList) -> dict[int, np.ndarray]:
    order = np.argsort(clips.root_of, kind="stable")
    roots, starts = np.unique(clips.root_of[order], return_index=True)
    return dict(zip(roots.tolist(), np.split(order, starts[1:]), strict=True))


def _covered(clips: ClipList, root: int, own: np.ndarray, alignment: Alignment, seconds: float) -> np.ndarray:
    """Return the clips of a root that show enough of the shared span; the root itself always does."""
    start, end = (clips.table[name].to_numpy() for name in ("start", "end"))
    low, high = start[own] - start[root], end[own] - start[root]
    shared = np.minimum(high, alignment.end_a) - np.maximum(low, alignment.start_a)
    return own[(shared >= np.minimum(seconds, 0.5 * (high - low))) | (own == root)]
