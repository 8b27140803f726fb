"""From pairs to marks: which clips go, for which clip that stays, and by which kind of duplicate. Pure.

Pairs of roots (exact, perceptual) come first, then pairs of vectors among the clips that are left. Of two roots the one
goes whose pictures the other shows, if that holds in one direction only: a clip that was cut into a compilation goes,
the compilation stays. Otherwise the one of the worse rank goes, or, if the other shows only a part of it, the clips of
that part. A pair counts only if what would stay is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.selection.deduplication.semantic.cluster_tree import Floats, Integers
from curation.selection.deduplication.semantic.leader_rule import leaders
from curation.selection.deduplication.semantic.similar_pairs import Links

Kind = Literal["exact", "perceptual", "semantic"]
KINDS: Final[tuple[Kind, ...]] = ("exact", "perceptual", "semantic")
Doubles = NDArray[np.float64]


class RootPair(NamedTuple):
    """Two roots that show the same in these spans, in seconds from the start of each."""

    kind: Kind
    one: int
    other: int
    start: float
    end: float
    other_start: float
    other_end: float
    score: float


@dataclass(frozen=True)
class Trees:
    """The clips as trees of roots."""

    rank: Integers
    """Of each clip, 0 for the best."""
    root_of: Integers
    """For each clip its root."""
    begin: Doubles
    """Seconds from the root's start to the clip's beginning."""
    end: Doubles
    """Seconds from the root's start to the clip's end."""

    def clips_of(self) -> dict[int, Integers]:
        """Return the clips of each root, the root included."""
        order = np.argsort(self.root_of, kind="stable")
        roots, starts = np.unique(self.root_of[order], return_index=True)
        return dict(zip(roots.tolist(), np.split(order, starts[1:]), strict=True))


@dataclass
class Marks:
    """The clips that go."""

    leader: Integers
    """For each clip the one that stays in its place; its own number if it stays."""
    kind: NDArray[np.int8]
    """For each clip that goes the index in `KINDS`; -1 otherwise."""
    score: Floats
    """Similarity of each clip that goes to the one that stays, 0 to 1."""

    @classmethod
    def none(cls, clips: int) -> Marks:
        """Return marks by which all clips stay."""
        return cls(np.arange(clips), np.full(clips, -1, np.int8), np.zeros(clips, np.float32))

    @property
    def gone(self) -> NDArray[np.bool_]:
        """For each clip: it goes."""
        return self.kind >= 0

    def remove(self, clips: Integers, leader: int | Integers, kind: Kind, score: float | Floats) -> None:
        """Mark clips that stayed so far."""
        self.leader[clips], self.kind[clips], self.score[clips] = leader, KINDS.index(kind), score

    def settle(self) -> None:
        """Replace each leader that went later by the clip that stays in its place."""
        while True:
            further = self.leader[self.leader]
            if (further == self.leader).all():
                return
            self.leader = further


def mark_roots(marks: Marks, trees: Trees, pairs: Sequence[RootPair], share: float) -> None:
    """Mark the clips that go because of pairs of roots.

    Args:
        marks: changed in place.
        trees: the clips.
        pairs: of exact duplicates, then of perceptual ones.
        share: least share of a clip that the other root must show.
    """
    tree = trees.clips_of()
    for pair, loser_is_one in _in_order(trees, pairs, share):
        loser, winner = (pair.one, pair.other) if loser_is_one else (pair.other, pair.one)
        lost = (pair.start, pair.end) if loser_is_one else (pair.other_start, pair.other_end)
        shown = (pair.other_start, pair.other_end) if loser_is_one else (pair.start, pair.end)
        if marks.gone[winner] or _missing(marks, trees, tree[winner], shown) > 1 - share:
            continue
        own = tree[loser]
        covered = own[(_overlap(trees, own, lost) >= share * _length(trees, own)) & ~marks.gone[own]]
        marks.remove(covered, winner, pair.kind, pair.score)


def mark_vectors(marks: Marks, rank: Integers, links: Links, threshold: float) -> None:
    """Mark the clips that go because of pairs of vectors, among those that have stayed so far.

    Args:
        marks: changed in place.
        rank: of each clip.
        links: pairs of clips.
        threshold: least cosine.
    """
    ranked = ranked_links(rank, links)
    order = np.argsort(rank, kind="stable")
    found = leaders(ranked, threshold, marks.gone[order])
    gone = np.flatnonzero((found != np.arange(len(found))) & ~marks.gone[order])
    best: dict[tuple[int, int], float] = {
        (int(a), int(b)): float(value) for a, b, value in zip(*ranked, strict=True) if found[a] == b
    }
    score = np.array([best.get((one, int(found[one])), threshold) for one in gone.tolist()], np.float32)
    marks.remove(order[gone], order[found[gone]], "semantic", score)


def ranked_links(rank: Integers, links: Links) -> Links:
    """Return links of clips in numbers of rank, the better one as `earlier`."""
    one, other = rank[links.later], rank[links.earlier]
    return Links(np.maximum(one, other), np.minimum(one, other), links.similarity)


def _in_order(trees: Trees, pairs: Iterable[RootPair], share: float) -> Iterator[tuple[RootPair, bool]]:
    """Yield pairs, and True if it is the one that loses: those with a container first, the longest container first.

    The others follow in the order of the winner's rank, so that a root wins only when its own fate is known.
    """
    contained, others = [], []
    for pair in pairs:
        one, other = _covers(trees, pair)
        if (one >= share) != (other >= share):
            loser_is_one = one >= share
            winner = pair.other if loser_is_one else pair.one
            contained.append(
                (-float(_length(trees, np.array([winner]))[0]), int(trees.rank[winner]), pair, loser_is_one)
            )
        else:
            loser_is_one = bool(trees.rank[pair.one] > trees.rank[pair.other])
            winner = pair.other if loser_is_one else pair.one
            others.append((int(trees.rank[winner]), pair, loser_is_one))
    for *_, pair, loser_is_one in sorted(contained, key=lambda item: item[:2]):
        yield pair, loser_is_one
    for _, pair, loser_is_one in sorted(others, key=lambda item: item[0]):
        yield pair, loser_is_one


def _covers(trees: Trees, pair: RootPair) -> tuple[float, float]:
    """Return the share of each root that the other shows."""
    one, other = (float(_length(trees, np.array([root]))[0]) for root in (pair.one, pair.other))
    return (pair.end - pair.start) / max(one, 1e-6), (pair.other_end - pair.other_start) / max(other, 1e-6)


def _length(trees: Trees, clips: Integers) -> Doubles:
    length: Doubles = trees.end[clips] - trees.begin[clips]
    return length


def _overlap(trees: Trees, clips: Integers, span: tuple[float, float]) -> Doubles:
    """Return the seconds of each clip that a span covers."""
    return np.maximum(0, np.minimum(trees.end[clips], span[1]) - np.maximum(trees.begin[clips], span[0]))


def _missing(marks: Marks, trees: Trees, clips: Integers, span: tuple[float, float]) -> float:
    """Return the largest share of a span that a clip covers which goes itself."""
    gone = clips[marks.gone[clips]]
    if not len(gone):
        return 0.0
    return float(_overlap(trees, gone, span).max() / max(span[1] - span[0], 1e-6))
