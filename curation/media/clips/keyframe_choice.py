"""Which stills of a video the captioner sees: about one every ten seconds, and one for each smallest clip."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Still:
    """A picture of the video as a JPEG file."""

    time: float
    """Seconds of the video."""
    path: Path


class Tree(Protocol):
    """What is needed of a clip: its span and the clips in it."""

    @property
    def start(self) -> float:
        """Seconds of the video."""

    @property
    def end(self) -> float:
        """Seconds of the video."""

    @property
    def children(self) -> Sequence[Tree]:
        """Clips nested in this one; none for the smallest."""


def choose_keyframes(root: Tree, stills: Sequence[Still], per_second: float = 0.1) -> list[Still]:
    """Choose a root clip's keyframes among the stills of its video.

    Each smallest clip is divided evenly, into `per_second` parts a second and one at least, and the still nearest
    to the middle of each part is taken, from inside the clip where there is one.

    Returns:
        In order of time, none twice. Empty only where `stills` is.
    """
    times = [still.time for still in stills]
    chosen: set[int] = set()
    for leaf in _leaves(root):
        inside = range(bisect_left(times, leaf.start), bisect_left(times, leaf.end))
        candidates = inside or range(len(times))
        parts = max(1, round((leaf.end - leaf.start) * per_second))
        for part in range(parts):
            middle = leaf.start + (leaf.end - leaf.start) * (part + 0.5) / parts
            chosen.update(_nearest(times, middle, candidates))
    return [stills[index] for index in sorted(chosen)]


def _leaves(tree: Tree) -> Iterator[Tree]:
    if not tree.children:
        yield tree
    for child in tree.children:
        yield from _leaves(child)


def _nearest(times: Sequence[float], wanted: float, candidates: range) -> list[int]:
    """The index among `candidates` whose time is nearest; empty where there are none."""
    place = bisect_left(times, wanted, candidates.start, candidates.stop)
    around = [index for index in (place - 1, place) if index in candidates]
    return [min(around, key=lambda index: abs(times[index] - wanted))] if around else []
