"""Words to sentences: where speech may be cut without tearing apart what belongs together.

Sits between the transcript (site subtitles or ASR) and segmentation. Punctuation decides where the text has it,
a punctuation model where one is given, else pauses do. Written by hand, for sentence splitters work on strings and
know neither the times of words nor the pauses between them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from curation.media.speech.transcript import Sentence, Transcript, Word
from runtime.settings import Settings

Punctuate = Callable[[Sequence[str]], list[str]]
"""Words in, the same words out, each perhaps with punctuation and casing restored."""

MINIMAL_MS: Final = 10
"""Least length of a word, where there is room."""


class SentenceSettings(Settings):
    """How words become sentences."""

    pause: float = Field(default=0.5, gt=0)
    """A silence of this many seconds ends a sentence in text without punctuation."""
    silence: float = Field(default=3.0, gt=0)
    """A silence of this many seconds ends a sentence in any text."""
    max_words: int = Field(default=50, ge=1)
    """A sentence with more words is split at its longest pause."""
    max_seconds: float = Field(default=20.0, gt=0)
    """A sentence longer than this is split at its longest pause."""
    punctuated_share: float = Field(default=0.02, gt=0, lt=1)
    """Text counts as punctuated where at least this share of its words end a sentence."""


def monotone(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """`words` in order of time, clipped to ``[start, end]``, none overlapping another, all times whole milliseconds.

    A word that overlaps its successor ends where that one starts; words that start together share their time by
    length of text; words without length get `MINIMAL_MS` where there is room. Only words that lie wholly outside
    the span are left out. `end` may be infinite.
    """
    low, high = round(start * 1000), round(end * 1000) if math.isfinite(end) else None
    spans = sorted(_clipped(words, low, high), key=lambda span: span[0])
    if not spans:
        return ()
    texts = [text for _, _, text in spans]
    starts, ends = _disjoint([s for s, _, _ in spans], [e for _, e, _ in spans], texts)
    room = max(ends) + MINIMAL_MS * len(texts) if high is None else high
    starts, ends = _with_length(starts, ends, low, room)
    return tuple(Word(s / 1000, e / 1000, text) for s, e, text in zip(starts, ends, texts, strict=True))


def sentences(transcript: Transcript, settings: SentenceSettings, punctuate: Punctuate | None = None) -> list[Sentence]:
    """Group the words of a transcript into sentences; every word is in exactly one, in order.

    Args:
        transcript: monotone words. A word whose text has spaces (a whole cue) is never split.
        settings: see `SentenceSettings`.
        punctuate: restores punctuation in text that has none, over all its single words at once; an answer of
            another length is not used. The words of the sentences carry the restored text.
    """
    words = list(transcript.words)
    if not words:
        return []
    if punctuate is not None and not is_punctuated(words, settings.punctuated_share):
        words = _restored(words, punctuate)
    pauses = [pause_between(a, b) for a, b in pairwise(words)]
    if is_punctuated(words, settings.punctuated_share):
        stops = _stops(words, pauses, settings.pause)
    else:
        stops = [pause >= settings.pause for pause in pauses]
    ends = [i + 1 for i, stop in enumerate(stops) if stop or pauses[i] >= settings.silence]
    bounds = [0, *ends, len(words)]
    spans = (part for span in pairwise(bounds) for part in _short_enough(words, span, settings))
    return [Sentence(tuple(words[a:b])) for a, b in spans]


def is_punctuated(words: Sequence[Word], share: float) -> bool:
    """Whether at least `share` of the words end a sentence; in scripts without spaces two characters are a word."""
    text = " ".join(word.text for word in words)
    count = len(text.split()) + len(_DENSE.findall(text)) // 2
    return len(_TERMINALS.findall(text)) >= share * count


def pause_between(word: Word, following: Word) -> float:
    """Seconds of silence between two words, as far as times tell.

    Site captions often let a word last until the next one starts: what a single word lasts longer than it can
    take to say counts as silence.
    """
    gap = following.start - word.end
    if " " in word.text:
        return gap
    return gap + max(word.end - word.start - (0.25 + 0.07 * len(word.text)), 0.0)


def _clipped(words: Sequence[Word], low: int, high: int | None) -> Iterator[tuple[int, int, str]]:
    """The words that touch the span, as (start, end, text) in whole milliseconds within it."""
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


def _disjoint(starts: list[int], ends: list[int], texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """End each word where the next one starts at the latest; words that start together share their time."""
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


def _with_length(starts: Sequence[int], ends: Sequence[int], low: int, high: int) -> tuple[list[int], list[int]]:
    """Give every word its least length: later words are pushed on, and back again at the end of the span."""
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


def _restored(words: Sequence[Word], punctuate: Punctuate) -> list[Word]:
    """The words with what `punctuate` makes of their text; unchanged where its answer has another length."""
    tokens = [word.text.split() for word in words]
    flat = [token for group in tokens for token in group]
    answer = list(punctuate(flat))
    if len(answer) != len(flat):
        return list(words)
    better = iter(new.strip() or old for new, old in zip(answer, flat, strict=True))
    texts = [" ".join(next(better) for _ in group) for group in tokens]
    return [replace(word, text=text) for word, text in zip(words, texts, strict=True)]


def _short_enough(
    words: Sequence[Word], span: tuple[int, int], settings: SentenceSettings
) -> Iterator[tuple[int, int]]:
    """Split ``words[a:b]`` at its longest pauses until every part is short enough."""
    counts = np.cumsum([0, *(len(word.text.split()) for word in words[span[0] : span[1]])])
    pauses = np.array([pause_between(words[i], words[i + 1]) for i in range(span[0], span[1] - 1)])
    waiting = [span]
    while waiting:
        a, b = waiting.pop()
        too_many = counts[b - span[0]] - counts[a - span[0]] > settings.max_words
        if b - a < 2 or not (too_many or words[b - 1].end - words[a].start > settings.max_seconds):
            yield a, b
            continue
        middle = a + 1 + _longest(pauses[a - span[0] : b - 1 - span[0]])
        waiting += [(middle, b), (a, middle)]


def _longest(pauses: npt.NDArray[np.float64]) -> int:
    """Index of the longest pause (to 10 ms); of equal ones that nearest the middle, off the very ends if possible."""
    edge = 2 if len(pauses) > 4 else 0
    inner = np.round(pauses[edge : len(pauses) - edge], 2)
    best = np.flatnonzero(inner == inner.max()) + edge
    return int(best[np.argmin(np.abs(best - (len(pauses) - 1) / 2))])


# --- where a sentence stops in punctuated text ---------------------------------------------------------------------

_DENSE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_TERMINALS = re.compile(r"[.!?…。！？｡؟۔।။።][\"'”’»」』)\]]*(?=\s|$|[^\W\d_a-z])")
_CLOSING: Final = "\"'”’»›」』】)]*_"
_ALWAYS: Final = "!?。！？｡؟۔।။።"
_TITLES: Final = re.compile(
    r"mrs?|ms|dr|prof|st|sen|rep|gov|gen|col|lt|capt|sgt|rev|hon|vs|e\.g|i\.e|cf|viz|al|approx|z\.b|bzw|dipl|srt?a|dra|m[ml]e|mlle"
)
_NUMBERED: Final = re.compile(r"\d+|nos?|figs?|vol|pp?|ch|art|sec")
_MAYBE: Final = re.compile(
    r"[^\W\di_]|etc|inc|ltd|co|corp|jr|sr|a\.m|p\.m|ph\.d|usw|bros|dept|(?:[^\W\d_]\.)+[^\W\d_]"  # "So do I." stops
)


def _stops(words: Sequence[Word], pauses: Sequence[float], pause: float) -> list[bool]:
    """For each word but the last: whether a sentence stops after it."""
    cased = sum(word.text[:1].isupper() for word in words) >= 0.03 * len(words)
    return [
        _stops_after(word.text, following.text, silence >= pause, cased)
        for word, following, silence in zip(words, words[1:], pauses, strict=False)
    ]


def _stops_after(text: str, following: str, paused: bool, cased: bool) -> bool:
    bare = text.rstrip(_CLOSING)
    goes_on = cased and following.lstrip("\"'“‘«([¿¡").lstrip()[:1].islower()
    if bare.endswith(tuple(_ALWAYS)):
        return not (goes_on and len(bare) < len(text))  # "What?" he said.
    if bare.endswith(("…", "..")):
        return not goes_on
    if not bare.endswith(".") or goes_on:
        return False
    last = bare.split()[-1].rstrip(".").lstrip("\"'“‘«([").lower()
    if _TITLES.fullmatch(last) or (_NUMBERED.fullmatch(last) and following[:1].isdigit()):
        return False
    return paused if _MAYBE.fullmatch(last) else True
