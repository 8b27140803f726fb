"""Make the times of words monotone, and measure the pauses between words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from curation.media.speech.transcript import Word

MINIMAL_MS: Final = 10
"""Shortest duration of a word in milliseconds, if there is room."""


def make_monotone(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """Return `words` in order of time, clipped to ``[start, end]``, without overlaps, in whole milliseconds.

    A word that overlaps its successor ends when that one starts. Words that start together share their time in
    proportion to their length of text. Words without a duration get `MINIMAL_MS` if there is room. Only words wholly
    outside the span are left out. `end` may be infinite.
    """
    low, high = round(start * 1000), round(end * 1000) if math.isfinite(end) else None
    spans = sorted(_clip(words, low, high), key=lambda span: span[0])
    if not spans:
        return ()
    texts = [text for _, _, text in spans]
    starts, ends = _remove_overlaps([s for s, _, _ in spans], [e for _, e, _ in spans], texts)
    room = max(ends) + MINIMAL_MS * len(texts) if high is None else high
    starts, ends = _enforce_minimum(starts, ends, low, room)
    return tuple(Word(s / 1000, e / 1000, text) for s, e, text in zip(starts, ends, texts, strict=True))


def pause_between(word: Word, following: Word) -> float:
    """Return the seconds of silence between two words, as far as their times show.

    Site captions often extend a word until the next one starts: the time beyond what a single word can take to say
    counts as silence.
    """
    gap = following.start - word.end
    if " " in word.text:
        return gap
    return gap + max(word.end - word.start - (0.25 + 0.07 * len(word.text)), 0.0)


def _clip(words: Sequence[Word], low: int, high: int | None) -> Iterator[tuple[int, int, str]]:
    """Yield the words that touch the span, as (start, end, text) in whole milliseconds within it."""
    for word in words:
        if not math.isfinite(word.start):
            continue
        first = round(word.start * 1000)
        last = max(round(word.end * 1000), first) if math.isfinite(word.end) else first
        if last < low or (last == low and first < low):
            continue
        if high is not None and (first > high or (first == high and last > high)):
            continue
        inside = max(first, low)
        yield inside, max(last if high is None else min(last, high), inside), word.text


def _remove_overlaps(starts: list[int], ends: list[int], texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """End each word at the latest when the next one starts; words that start together share their time."""
    starts, ends = list(starts), list(ends)
    first = 0
    while first < len(starts):
        last = first
        while last + 1 < len(starts) and starts[last + 1] == starts[first]:
            last += 1
        until = max(ends[first : last + 1])
        if last + 1 < len(starts):
            until = min(until, starts[last + 1])
        shares = list(accumulate((1 + len(text) for text in texts[first : last + 1]), initial=0))
        edges = [starts[first] + (until - starts[first]) * share // shares[-1] for share in shares]
        starts[first : last + 1], ends[first : last + 1] = edges[:-1], edges[1:]
        first = last + 1
    return starts, ends


def _enforce_minimum(starts: Sequence[int], ends: Sequence[int], low: int, high: int) -> tuple[list[int], list[int]]:
    """Give every word its minimal duration: move later words forward, and back again at the end of the span."""
    starts, ends = list(starts), list(ends)
    count = len(starts)
    if count * MINIMAL_MS > high - low:
        edges = [low + (high - low) * i // count for i in range(count + 1)]
        return edges[:-1], edges[1:]
    free = low
    for i in range(count):
        starts[i] = max(starts[i], free)
        free = ends[i] = max(ends[i], starts[i] + MINIMAL_MS)
    free = high
    for i in reversed(range(count)):
        ends[i] = min(ends[i], free)
        free = starts[i] = min(starts[i], ends[i] - MINIMAL_MS)
    return starts, ends
