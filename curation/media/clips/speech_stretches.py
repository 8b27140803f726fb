"""Find the parts of speech that must not be cut, and separate speech from long silences.

First half of `curation.media.clips.clip_tree`. All times are whole milliseconds.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from curation.media.speech.transcript import Sentence, Word
from curation.media.speech.word_times import pause_between

_MARGIN: Final = 500  # silence kept around speech next to a gap


@dataclass(frozen=True)
class MillisecondSpan:
    """A span in whole milliseconds of the video."""

    start: int
    end: int


@dataclass(frozen=True)
class SpeechAtom(MillisecondSpan):
    """Speech that is never cut: a sentence, or one word of an over-long sentence."""

    pause: float
    """Seconds of silence after it, as far as word times show."""
    ends_sentence: bool


@dataclass(frozen=True)
class Stretch(MillisecondSpan):
    """A part of the video with fixed ends: speech without long gaps, or (without atoms) a long gap."""

    atoms: tuple[SpeechAtom, ...] = ()


def speech_atoms(sentences: Sequence[Sentence], longest: float, max_gap: float) -> list[SpeechAtom]:
    """Divide speech into atoms, which are never cut.

    Args:
        sentences: monotone, in seconds.
        longest: seconds; a longer sentence may be cut between its words.
        max_gap: seconds; a sentence with a longer silence in it may be cut between its words too.
    """
    words = [word for sentence in sentences for word in sentence.words]
    pauses = [*(pause_between(a, b) for a, b in pairwise(words)), 0.0]
    units = [(unit, sentence.words[-1]) for sentence in sentences for unit in _units(sentence.words, longest, max_gap)]
    atoms, count = [], 0
    for unit, last in units:
        count += len(unit)
        # Rounded outwards, so that no cut falls into a word whose times are not whole milliseconds.
        start, end = math.floor(unit[0].start * 1000 + 1e-6), math.ceil(unit[-1].end * 1000 - 1e-6)
        atoms.append(SpeechAtom(start, max(start, end), pauses[count - 1], unit[-1] is last))
    return atoms


def _units(words: tuple[Word, ...], longest: float, max_gap: float) -> list[tuple[Word, ...]]:
    """Return the sentence as one unit, or each word as a unit if the sentence is too long or has a long gap."""
    gap = max((b.start - a.end for a, b in pairwise(words)), default=0.0)
    if words[-1].end - words[0].start <= longest and gap <= max_gap:
        return [words]
    return [(word,) for word in words]


def speech_stretches(
    atoms: Sequence[SpeechAtom], shots: Sequence[int], span: MillisecondSpan, max_gap: int, least: int
) -> Iterator[Stretch]:
    """Tile `span` with speech and long gaps in turn.

    Args:
        atoms: in order of time; those outside the span are left out.
        shots: shot boundaries in milliseconds, ascending.
        span: the span to tile.
        max_gap: milliseconds; a longer silence is a stretch of its own.
        least: milliseconds that a stretch of speech should last, the silence around it included.
    """
    runs = _runs([atom for atom in atoms if atom.start < span.end and atom.end > span.start], max_gap)
    at = span.start
    for i, run in enumerate(runs):
        before = runs[i - 1][-1].end if i > 0 else span.start
        after = runs[i + 1][0].start if i + 1 < len(runs) else span.end
        spoken = MillisecondSpan(run[0].start, run[-1].end)
        speech = _with_margins(spoken, MillisecondSpan(before, after), shots, max_gap, least)
        if speech.start > at:
            yield Stretch(at, speech.start)
        yield Stretch(speech.start, speech.end, tuple(run))
        at = speech.end
    if at < span.end:
        yield Stretch(at, span.end)


def _runs(atoms: Sequence[SpeechAtom], max_gap: int) -> list[list[SpeechAtom]]:
    """Group consecutive atoms that have no long gap between them."""
    runs: list[list[SpeechAtom]] = []
    for atom in atoms:
        if runs and atom.start - runs[-1][-1].end <= max_gap:
            runs[-1].append(atom)
        else:
            runs.append([atom])
    return runs


def _with_margins(
    speech: MillisecondSpan, around: MillisecondSpan, shots: Sequence[int], max_gap: int, least: int
) -> MillisecondSpan:
    """Extend `speech` by the short silences around it, and by a margin into each long silence.

    `around` reaches from the speech before to the speech after. A margin ends at a shot boundary if there is one
    nearby. It is larger if the speech is short, and at most a third of `max_gap`.
    """
    silences = speech.start - around.start, around.end - speech.end
    length = speech.end - speech.start + sum(silence for silence in silences if silence <= max_gap)
    gaps = sum(silence > max_gap for silence in silences)
    most = max_gap // 3
    margin = min(max(_MARGIN, (least - length) // max(gaps, 1)), most)
    start, end = around.start, around.end
    if silences[0] > max_gap:
        i = bisect_right(shots, speech.start - margin) - 1
        start = shots[i] if i >= 0 and shots[i] >= speech.start - most else speech.start - margin
    if silences[1] > max_gap:
        i = bisect_left(shots, speech.end + margin)
        end = shots[i] if i < len(shots) and shots[i] <= speech.end + most else speech.end + margin
    return MillisecondSpan(start, end)
