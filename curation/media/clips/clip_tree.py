"""Build clip trees: a video's sentences form short clips, these form medium clips, and these long ones.

A pure function of sentence times and shot boundaries, run after the one decode. Each level is a dynamic program over
cut points: lengths near the level's target, cuts in long pauses and at shot boundaries. All times are whole
milliseconds, so that children tile their parent exactly and keys are exact.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from curation.media.clips.partition import CutPoint, partition
from curation.media.clips.segment_settings import SegmentSettings
from curation.media.clips.speech_stretches import MillisecondSpan, Stretch, speech_atoms, speech_stretches
from curation.media.speech.transcript import Sentence
from shards.schema import LEVELS, Level

_INSIDE_SENTENCE: Final = 0.5  # cost of a cut between two words of an over-long sentence
_LONG_PAUSE: Final = 1.0  # seconds; a longer pause makes no better cut


def sentence_boundaries(sentences: Sequence[Sentence]) -> list[float]:
    """Return the seconds at which `segment` cuts between sentences, unless a shot boundary in the pause is preferred.

    The encoder puts an IDR frame at each, before shots are known.
    """
    return [(a.end + b.start) / 2 for a, b in pairwise(sentences)]


@dataclass(frozen=True)
class Clip:
    """A span of the video in seconds (whole milliseconds), and the clips nested in it, which tile it."""

    start: float
    end: float
    level: Level
    children: tuple[Clip, ...] = ()

    def walk(self) -> Iterator[Clip]:
        """Yield this clip and all clips below it, in order of time, a parent before its children."""
        yield self
        for child in self.children:
            yield from child.walk()


def segment(
    sentences: Sequence[Sentence], shots: Sequence[float], start: float, end: float, settings: SegmentSettings
) -> list[Clip]:
    """Divide ``[start, end]`` into clip trees.

    Args:
        sentences: monotone; sentences outside the span have no effect.
        shots: times of shot boundaries in seconds, in any order.
        start: seconds of the video.
        end: seconds of the video.
        settings: see `SegmentSettings`.

    Returns:
        The root clips, in order, tiling the span. No cut falls into a word. A silence longer than ``max_gap`` gets
        root clips of its own. Empty if the span is shorter than ``smallest_span``. Levels grow towards the root; a
        clip that could be of several levels gets the one whose target is nearest in ratio.
    """
    span = MillisecondSpan(round(start * 1000), round(end * 1000))
    if span.end - span.start < 1000 * settings.smallest_span:
        return []
    boundaries = sorted({round(shot * 1000) for shot in shots if math.isfinite(shot)})
    atoms = speech_atoms(sentences, settings.short.maximum, settings.max_gap)
    least = round(1000 * settings.short.minimum)
    stretches = speech_stretches(atoms, boundaries, span, round(1000 * settings.max_gap), least)
    return [root for stretch in stretches for root in _build_trees(stretch, boundaries, settings)]


@dataclass(frozen=True)
class _ClipNode(MillisecondSpan):
    """A clip whose level is not decided yet: it may be the only clip of several levels."""

    levels: tuple[Level, ...]
    children: tuple[_ClipNode, ...] = ()


def _build_trees(stretch: Stretch, shots: Sequence[int], settings: SegmentSettings) -> list[Clip]:
    """Return the clip trees that tile a stretch."""
    inner = shots[bisect_right(shots, stretch.start) : bisect_left(shots, stretch.end)]
    cuts = _speech_cuts(stretch, inner, settings) if stretch.atoms else _silent_cuts(stretch, inner, settings)
    cuts = [CutPoint(stretch.start, 0.0), *_ascending_inside(cuts, stretch), CutPoint(stretch.end, 0.0)]
    nodes = [_ClipNode(a.time, b.time, ()) for a, b in pairwise(cuts)]
    for level in LEVELS:
        chosen = partition(cuts, settings.level(level), settings.smallest)
        nodes = [_merge_nodes(nodes[a:b], level) for a, b in pairwise(chosen)]
        cuts = [cuts[i] for i in chosen]
    return [_to_clip(node, settings) for node in nodes]


def _speech_cuts(stretch: Stretch, shots: Sequence[int], settings: SegmentSettings) -> list[CutPoint]:
    """Return one cut between each two atoms: at a shot boundary in the pause if there is one, otherwise in its middle.

    The usual cost of a cut is subtracted from each, so that costs choose among cuts and not how many there are.
    """
    times = [_cut_in_pause(a.end, max(a.end, b.start), shots) for a, b in pairwise(stretch.atoms)]
    pauses = [min(max(atom.pause, 0.0), _LONG_PAUSE) / _LONG_PAUSE for atom in stretch.atoms[:-1]]
    costs = [
        settings.pause_weight * (1 - pause) + settings.shot_weight * _distance_to_shot(time, shots, settings)
        for time, pause in zip(times, pauses, strict=True)
    ]
    between = [cost for cost, atom in zip(costs, stretch.atoms, strict=False) if atom.ends_sentence]
    usual = sum(between) / len(between) if between else sum(costs) / max(len(costs), 1) + _INSIDE_SENTENCE
    return [
        CutPoint(time, cost - usual + (0.0 if atom.ends_sentence else _INSIDE_SENTENCE))
        for time, cost, atom in zip(times, costs, stretch.atoms, strict=False)
    ]


def _cut_in_pause(low: int, high: int, shots: Sequence[int]) -> int:
    """Return the shot boundary in ``[low, high]`` nearest to its middle, or the middle if there is none."""
    middle = (low + high) // 2
    inside = shots[bisect_left(shots, low) : bisect_right(shots, high)]
    return min(inside, key=lambda shot: abs(shot - middle), default=middle)


def _distance_to_shot(time: int, shots: Sequence[int], settings: SegmentSettings) -> float:
    """Return 0 at a shot boundary, rising to 1 at `shot_distance` from the nearest one."""
    i = bisect_left(shots, time)
    nearest = min((abs(time - shot) for shot in shots[max(i - 1, 0) : i + 1]), default=math.inf)
    return min(nearest / (1000 * settings.shot_distance), 1.0)


def _silent_cuts(stretch: Stretch, shots: Sequence[int], settings: SegmentSettings) -> list[CutPoint]:
    """Return the shot boundaries, and equal parts of shots that are longer than a short clip may be."""
    medium = settings.medium.target
    part = 1000 * medium / round(medium / settings.short.target)  # near the short target, and a fraction of the medium
    cuts = []
    for a, b in pairwise([stretch.start, *shots, stretch.end]):
        parts = round((b - a) / part) if b - a > 1000 * settings.short.maximum else 1
        cuts += [CutPoint(a + (b - a) * k // parts, settings.shot_weight if k else 0.0) for k in range(parts)]
    return cuts[1:]


def _ascending_inside(cuts: Sequence[CutPoint], stretch: Stretch) -> list[CutPoint]:
    """Return the cuts strictly inside the stretch that are later than the cut before."""
    kept: list[CutPoint] = []
    for cut in cuts:
        if (kept[-1].time if kept else stretch.start) < cut.time < stretch.end:
            kept.append(cut)
    return kept


def _merge_nodes(nodes: Sequence[_ClipNode], level: Level) -> _ClipNode:
    """Return the clip of `level` made of `nodes`; a single node is that clip itself."""
    if len(nodes) == 1:
        return replace(nodes[0], levels=(*nodes[0].levels, level))
    children = tuple(node for node in nodes if node.levels)
    return _ClipNode(nodes[0].start, nodes[-1].end, (level,), children)


def _to_clip(node: _ClipNode, settings: SegmentSettings) -> Clip:
    """Decide the level of a node and of all nodes below it, and convert milliseconds to seconds."""
    seconds = (node.end - node.start) / 1000
    level = min(node.levels, key=lambda name: abs(math.log(seconds / settings.level(name).target)))
    children = tuple(_to_clip(child, settings) for child in node.children)
    return Clip(node.start / 1000, node.end / 1000, level, children)
