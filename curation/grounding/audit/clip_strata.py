"""Strata of the clips of a layer, and how many clips of each are drawn. Pure.

Clips are told apart by level, score, site and language. A rare kind of clip is drawn more often than its share, and the
report weighs it back: a stratum gets clips by the square root of its size, and at least two.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, NamedTuple

OTHER: Final = "other"
_MOST_SITES: Final = 8
_MOST_LANGUAGES: Final = 5
_LEAST: Final = 2
_DIMENSIONS: Final = (
    ("level", "band", "site", "language"),
    ("level", "band", "site"),
    ("level", "band", "language"),
    ("level", "band"),
    ("level",),
)
"""The properties by which strata differ, the finest first."""


class Cell(NamedTuple):
    """A kind of clip."""

    level: str
    band: str
    """By the share of claims that were supported."""
    site: str
    language: str


@dataclass(frozen=True)
class Stratum:
    """Kinds of clips that are drawn together."""

    name: str
    clips: int
    """Clips of the layer."""
    cells: tuple[Cell, ...]
    drawn: int
    """Clips of the sample, at most `clips`."""


def plan_strata(counts: Mapping[Cell, int], size: int) -> list[Stratum]:
    """Return the strata of a sample: the finest that get at least two clips each, on average.

    Args:
        counts: clips of the layer by kind.
        size: clips of the sample.
    """
    names = _names(counts)
    cells: dict[str, list[Cell]] = defaultdict(list)
    for dimensions in (*_DIMENSIONS, ()):
        cells.clear()
        for cell in sorted(counts):
            name = ", ".join(names[dimension][getattr(cell, dimension)] for dimension in dimensions)
            cells[name or "all"].append(cell)
        if len(cells) * _LEAST <= size:
            break
    sizes = {name: sum(counts[cell] for cell in of_name) for name, of_name in cells.items()}
    drawn = allocate(sizes, size)
    return [Stratum(name, sizes[name], tuple(of_name), drawn[name]) for name, of_name in cells.items()]


def allocate(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Share out `total` clips by the square roots of the strata's sizes: at least two each, never more than there are.

    Places go one by one to the stratum that has the fewest for its root (d'Hondt's highest averages).
    """
    drawn = dict.fromkeys(sizes, 0)
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        drawn[name] = min(_LEAST, sizes[name], total)
        total -= drawn[name]
    queue = [(_need(sizes[name], drawn[name]), name) for name in sizes if drawn[name] < sizes[name]]
    heapq.heapify(queue)
    for _ in range(total):
        if not queue:
            break
        _, name = heapq.heappop(queue)
        drawn[name] += 1
        if drawn[name] < sizes[name]:
            heapq.heappush(queue, (_need(sizes[name], drawn[name]), name))
    return drawn


def _need(size: int, drawn: int) -> float:
    """Return how much a stratum needs one clip more; less is more."""
    return -sqrt(size) / (drawn + 1)


def _names(counts: Mapping[Cell, int]) -> dict[str, Mapping[str, str]]:
    """Return for each dimension the name of each of its values; rare sites and languages share one."""
    return {
        "level": {cell.level: cell.level for cell in counts},
        "band": {cell.band: cell.band for cell in counts},
        "site": _largest(_totals(counts, "site"), _MOST_SITES),
        "language": _largest(_totals(counts, "language"), _MOST_LANGUAGES),
    }


def _totals(counts: Mapping[Cell, int], dimension: str) -> Counter[str]:
    totals: Counter[str] = Counter()
    for cell, clips in counts.items():
        totals[getattr(cell, dimension)] += clips
    return totals


def _largest(totals: Counter[str], most: int) -> dict[str, str]:
    ordered: Sequence[str] = sorted(totals, key=lambda name: (-totals[name], name))
    return {name: name if place < most else OTHER for place, name in enumerate(ordered)}
