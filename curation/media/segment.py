"""The clip tree: a video's sentences become short clips, shorts mediums, mediums longs (DESIGN: clip tree).

A pure function of sentence times and shot boundaries, run after the one decode. Each level is a dynamic programme
over cut points: lengths near the level's target, cuts in long pauses and at shot boundaries. All times are whole
milliseconds from the start, so that children tile their parent exactly and keys are exact.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from curation.media.sentences import pause_between
from curation.media.transcript import Sentence, Word
from runtime.config import Settings
from shards.schema import LEVELS, Level

_Floats = npt.NDArray[np.float64]

# Costs beside the squared logarithm of length over target, which is 0.5 at twice or half the target.
_OVERLONG: Final = 10.0  # longer than the maximum though it could be cut
_UNDERSIZED: Final = 1.0  # shorter than the minimum
_SLIVER: Final = 20.0  # shorter than any clip should be
_INSIDE_SENTENCE: Final = 0.5  # a cut between two words of an over-long sentence
_LONG_PAUSE: Final = 1.0  # seconds; a longer pause makes no better cut
_MARGIN: Final = 0.5  # seconds of silence left around speech beside a gap


class LevelSettings(Settings):
    """Lengths of the clips of one level, in seconds."""

    target: float = Field(gt=0)
    """The length aimed at."""
    minimum: float = Field(gt=0)
    """Clips shorter than this are avoided."""
    maximum: float = Field(gt=0)
    """Clips are no longer than this, unless there is nowhere to cut."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.minimum <= self.target <= self.maximum:
            raise ValueError(f"minimum <= target <= maximum must hold ({self.minimum}, {self.target}, {self.maximum})")
        return self


class SegmentSettings(Settings):
    """How a video is divided into clip trees."""

    short: LevelSettings = LevelSettings(target=13.0, minimum=4.0, maximum=26.0)
    """Short clips: a couple of sentences."""
    medium: LevelSettings = LevelSettings(target=30.0, minimum=15.0, maximum=52.0)
    """Medium clips: a few shorts."""
    long: LevelSettings = LevelSettings(target=60.0, minimum=32.0, maximum=100.0)
    """Long clips: a few mediums."""
    smallest: float = Field(2.0, gt=0)
    """No clip shorter than this is cut out of a longer span."""
    smallest_span: float = Field(0.5, ge=0.001)
    """A span shorter than this gives no clip at all."""
    max_gap: float = Field(10.0, gt=0)
    """Seconds without speech; a longer gap gets roots of its own."""
    pause_weight: float = Field(0.1, ge=0)
    """How much a cut in a pause of a second or more is preferred to one in no pause."""
    shot_weight: float = Field(0.1, ge=0)
    """How much a cut at a shot boundary is preferred to one far from any."""
    shot_distance: float = Field(0.5, gt=0)
    """A shot boundary further than this many seconds from a cut is far."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.short.target < self.medium.target < self.long.target:
            raise ValueError("short.target < medium.target < long.target must hold")
        if self.max_gap < 3 * self.smallest:
            raise ValueError(f"max_gap ({self.max_gap}) must be at least three times smallest ({self.smallest})")
        return self

    def level(self, name: Level) -> LevelSettings:
        """The lengths of a level."""
        lengths: LevelSettings = getattr(self, name)
        return lengths


@dataclass(frozen=True)
class Clip:
    """A span of the video, in seconds (whole milliseconds), and the clips nested in it, which tile it."""

    start: float
    end: float
    level: Level
    children: tuple[Clip, ...] = ()

    def walk(self) -> Iterator[Clip]:
        """This clip and all below it, a parent before its children, in order of time."""
        yield self
        for child in self.children:
            yield from child.walk()


def segment(
    sentences: Sequence[Sentence], shots: Sequence[float], start: float, end: float, settings: SegmentSettings
) -> list[Clip]:
    """Divide ``[start, end]`` into clip trees.

    Args:
        sentences: monotone; what lies outside the span has no effect.
        shots: times of shot boundaries, seconds, in any order.
        start: seconds of the video.
        end: seconds of the video.
        settings: see `SegmentSettings`.

    Returns:
        The roots, in order, tiling the span. No cut falls into a word. A silence longer than ``max_gap`` stands in
        roots of its own. Empty where the span is shorter than ``smallest_span``. Levels grow towards the root; a
        node that stands for several levels has that whose target is nearest in ratio.
    """
    span = _Span(round(start * 1000), round(end * 1000))
    if span.end - span.start < 1000 * settings.smallest_span:
        return []
    cuts = sorted({round(shot * 1000) for shot in shots if math.isfinite(shot)})
    atoms = list(_atoms(sentences, settings))
    return [root for stretch in _stretches(atoms, cuts, span, settings) for root in _trees(stretch, cuts, settings)]


@dataclass(frozen=True)
class _Span:
    """Milliseconds."""

    start: int
    end: int


@dataclass(frozen=True)
class _Atom(_Span):
    """Speech that is never cut: a sentence, or a word of an over-long one."""

    pause: float
    """Seconds of silence after it, as far as times tell."""
    ends_sentence: bool


@dataclass(frozen=True)
class _Stretch(_Span):
    """A part of the video whose ends are settled: speech without long gaps, or (without atoms) a long gap."""

    atoms: tuple[_Atom, ...] = ()


@dataclass(frozen=True)
class _Cut:
    """A place to cut: milliseconds, and what a cut there costs."""

    time: int
    cost: float


@dataclass(frozen=True)
class _Node(_Span):
    """A clip that may still turn out to stand for several levels."""

    levels: tuple[Level, ...]
    children: tuple[_Node, ...] = ()


def _atoms(sentences: Sequence[Sentence], settings: SegmentSettings) -> list[_Atom]:
    words = [word for sentence in sentences for word in sentence.words]
    pauses = [*(pause_between(a, b) for a, b in pairwise(words)), 0.0]
    units = [(unit, sentence.words[-1]) for sentence in sentences for unit in _units(sentence.words, settings)]
    atoms, at = [], 0
    for unit, last in units:
        at += len(unit)
        # Outwards, so that no cut falls into a word whose times are no whole milliseconds.
        start, end = math.floor(unit[0].start * 1000 + 1e-6), math.ceil(unit[-1].end * 1000 - 1e-6)
        atoms.append(_Atom(start, max(start, end), pauses[at - 1], unit[-1] is last))
    return atoms


def _units(words: tuple[Word, ...], settings: SegmentSettings) -> list[tuple[Word, ...]]:
    """The sentence as a whole, or word by word where it is too long or has a long gap in it."""
    gap = max((b.start - a.end for a, b in pairwise(words)), default=0.0)
    if words[-1].end - words[0].start <= settings.short.maximum and gap <= settings.max_gap:
        return [words]
    return [(word,) for word in words]


def _stretches(
    atoms: Sequence[_Atom], shots: Sequence[int], span: _Span, settings: SegmentSettings
) -> Iterator[_Stretch]:
    """Tile the span with speech and long gaps in turn."""
    runs = _runs([atom for atom in atoms if atom.start < span.end and atom.end > span.start], settings)
    at = span.start
    for i, run in enumerate(runs):
        before = runs[i - 1][-1].end if i > 0 else span.start
        after = runs[i + 1][0].start if i + 1 < len(runs) else span.end
        start, end = _edges(run, _Span(before, after), shots, settings)
        if start > at:
            yield _Stretch(at, start)
        yield _Stretch(start, end, tuple(run))
        at = end
    if at < span.end:
        yield _Stretch(at, span.end)


def _runs(atoms: Sequence[_Atom], settings: SegmentSettings) -> list[list[_Atom]]:
    """Atoms with no long gap between them."""
    runs: list[list[_Atom]] = []
    for atom in atoms:
        if runs and atom.start - runs[-1][-1].end <= 1000 * settings.max_gap:
            runs[-1].append(atom)
        else:
            runs.append([atom])
    return runs


def _edges(
    run: Sequence[_Atom], around: _Span, shots: Sequence[int], settings: SegmentSettings
) -> tuple[int, int]:
    """Where a run of speech begins and ends: it takes in short silences around it, and a margin of long gaps.

    The margin ends at a shot boundary if there is one, and is larger where little is said.
    """
    long, most = 1000 * settings.max_gap, round(1000 * settings.max_gap / 3)
    first, last = run[0].start, run[-1].end
    silences = first - around.start, around.end - last
    length = last - first + sum(silence for silence in silences if silence <= long)
    gaps = sum(silence > long for silence in silences)
    missing = round((1000 * settings.short.minimum - length) / max(gaps, 1))
    margin = min(max(round(1000 * _MARGIN), missing), most)
    start, end = around.start, around.end
    if silences[0] > long:
        i = bisect_right(shots, first - margin) - 1
        start = shots[i] if i >= 0 and shots[i] >= first - most else first - margin
    if silences[1] > long:
        i = bisect_left(shots, last + margin)
        end = shots[i] if i < len(shots) and shots[i] <= last + most else last + margin
    return start, end


def _trees(stretch: _Stretch, shots: Sequence[int], settings: SegmentSettings) -> list[Clip]:
    """The clip trees that tile a stretch."""
    inner = shots[bisect_right(shots, stretch.start) : bisect_left(shots, stretch.end)]
    cuts = _speech_cuts(stretch, inner, settings) if stretch.atoms else _silent_cuts(stretch, inner, settings)
    cuts = [_Cut(stretch.start, 0.0), *_increasing(cuts, stretch), _Cut(stretch.end, 0.0)]
    nodes = [_Node(a.time, b.time, ()) for a, b in pairwise(cuts)]
    for level in LEVELS:
        chosen = _partition(cuts, settings.level(level), settings.smallest)
        nodes = [_joined(nodes[a:b], level) for a, b in pairwise(chosen)]
        cuts = [cuts[i] for i in chosen]
    return [_clip(node, settings) for node in nodes]


def _speech_cuts(stretch: _Stretch, shots: Sequence[int], settings: SegmentSettings) -> list[_Cut]:
    """One cut between two atoms each: at a shot boundary in the pause if there is one, else in its middle.

    What a usual cut costs is taken off each, so that costs choose among cuts and not how many there are.
    """
    times = [_in_pause(a.end, max(a.end, b.start), shots) for a, b in pairwise(stretch.atoms)]
    pauses = [min(max(atom.pause, 0.0), _LONG_PAUSE) / _LONG_PAUSE for atom in stretch.atoms[:-1]]
    costs = [
        settings.pause_weight * (1 - pause) + settings.shot_weight * _far_from_shot(time, shots, settings)
        for time, pause in zip(times, pauses, strict=True)
    ]
    between = [cost for cost, atom in zip(costs, stretch.atoms, strict=False) if atom.ends_sentence]
    usual = sum(between) / len(between) if between else sum(costs) / max(len(costs), 1) + _INSIDE_SENTENCE
    return [
        _Cut(time, cost - usual + (0.0 if atom.ends_sentence else _INSIDE_SENTENCE))
        for time, cost, atom in zip(times, costs, stretch.atoms, strict=False)
    ]


def _in_pause(low: int, high: int, shots: Sequence[int]) -> int:
    middle = (low + high) // 2
    inside = shots[bisect_left(shots, low) : bisect_right(shots, high)]
    return min(inside, key=lambda shot: abs(shot - middle), default=middle)


def _far_from_shot(time: int, shots: Sequence[int], settings: SegmentSettings) -> float:
    """0 at a shot boundary, 1 where none is near."""
    i = bisect_left(shots, time)
    nearest = min((abs(time - shot) for shot in shots[max(i - 1, 0) : i + 1]), default=math.inf)
    return min(nearest / (1000 * settings.shot_distance), 1.0)


def _silent_cuts(stretch: _Stretch, shots: Sequence[int], settings: SegmentSettings) -> list[_Cut]:
    """Shot boundaries, and equal parts where a shot is longer than a short clip may be."""
    medium = settings.medium.target
    part = 1000 * medium / round(medium / settings.short.target)  # near the short target, and nests well
    cuts = []
    for a, b in pairwise([stretch.start, *shots, stretch.end]):
        parts = round((b - a) / part) if b - a > 1000 * settings.short.maximum else 1
        cuts += [_Cut(a + (b - a) * k // parts, settings.shot_weight if k else 0.0) for k in range(parts)]
    return cuts[1:]


def _increasing(cuts: Sequence[_Cut], stretch: _Stretch) -> list[_Cut]:
    """The cuts that lie inside the stretch, each later than the one before."""
    kept: list[_Cut] = []
    for cut in cuts:
        if (kept[-1].time if kept else stretch.start) < cut.time < stretch.end:
            kept.append(cut)
    return kept


def _partition(cuts: Sequence[_Cut], lengths: LevelSettings, smallest: float) -> list[int]:
    """Indices of the cuts that divide the span from the first to the last of them at least cost.

    best[i] is the least cost of all up to cut i; the part before it begins no further back than the maximum length,
    but for one unit more: time is linear in the number of cuts.
    """
    times = np.array([cut.time for cut in cuts]) / 1000
    best, begins = np.zeros(len(cuts)), np.zeros(len(cuts), dtype=np.int64)
    earliest = np.searchsorted(times, times - lengths.maximum)  # first cut within the maximum
    for i in range(1, len(cuts)):
        j = max(int(earliest[i - 1]) - 1, 0)
        costs = best[j:i] + _length_costs(times[i] - times[j:i], lengths, smallest)
        choice = int(np.argmin(costs))
        best[i], begins[i] = costs[choice] + cuts[i].cost, j + choice
    chosen = [len(cuts) - 1]
    while chosen[-1] > 0:
        chosen.append(int(begins[chosen[-1]]))
    return chosen[::-1]


def _length_costs(seconds: _Floats, lengths: LevelSettings, smallest: float) -> _Floats:
    """What parts of these lengths cost; the last is a single unit, which can't be shortened."""
    costs: _Floats = (seconds / lengths.target - 1) ** 2
    costs += _UNDERSIZED * (seconds < lengths.minimum) + _SLIVER * (seconds < smallest)
    costs[:-1] += _OVERLONG * (seconds[:-1] > lengths.maximum)
    return costs


def _joined(nodes: Sequence[_Node], level: Level) -> _Node:
    """The clip of `level` made of `nodes`; a single node is that clip itself."""
    if len(nodes) == 1:
        return replace(nodes[0], levels=(*nodes[0].levels, level))
    children = tuple(node for node in nodes if node.levels)
    return _Node(nodes[0].start, nodes[-1].end, (level,), children)


def _clip(node: _Node, settings: SegmentSettings) -> Clip:
    seconds = (node.end - node.start) / 1000
    level = min(node.levels, key=lambda name: abs(math.log(seconds / settings.level(name).target)))
    children = tuple(_clip(child, settings) for child in node.children)
    return Clip(node.start / 1000, node.end / 1000, level, children)
