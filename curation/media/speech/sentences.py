"""Split the words of a transcript into sentences, between which a video may be cut.

Runs between transcription and segmentation. Punctuation decides if the text has it or if a punctuation model is
given; otherwise pauses decide. Written by hand, because sentence splitters work on strings and know neither the times
of words nor the pauses between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from curation.media.speech.punctuated_text import is_punctuated, sentence_ends
from curation.media.speech.sentence_settings import SentenceSettings
from curation.media.speech.transcript import Sentence, Transcript, Word
from curation.media.speech.word_times import pause_between
from runtime.text.word_units import count_words, join_pieces

Punctuate = Callable[[Sequence[str]], list[str]]
"""A function that takes words and returns the same words with punctuation and casing restored."""


def split_sentences(
    transcript: Transcript, settings: SentenceSettings, punctuate: Punctuate | None = None
) -> list[Sentence]:
    """Group the words of a transcript into sentences; every word is in exactly one, in order.

    Args:
        transcript: monotone words. A word whose text has spaces (a whole cue) is never split.
        settings: see `SentenceSettings`.
        punctuate: restores punctuation in text that has none, for all single words at once. Its result is ignored if
            it has another length. The words of the sentences carry the restored text.
    """
    words = list(transcript.words)
    if not words:
        return []
    if punctuate is not None and not is_punctuated(words, settings.punctuated_share):
        words = _restore_punctuation(words, punctuate)
    pauses = [pause_between(a, b) for a, b in pairwise(words)]
    if is_punctuated(words, settings.punctuated_share):
        stops = sentence_ends(words, pauses, settings.pause)
    else:
        stops = [pause >= settings.pause for pause in pauses]
    ends = [i + 1 for i, stop in enumerate(stops) if stop or pauses[i] >= settings.silence]
    bounds = [0, *ends, len(words)]
    spans = (part for span in pairwise(bounds) for part in _split_long(words, span, settings))
    return [Sentence(tuple(words[a:b])) for a, b in spans]


def _restore_punctuation(words: Sequence[Word], punctuate: Punctuate) -> list[Word]:
    """Return the words with restored text; unchanged if `punctuate` returns another number of words."""
    tokens = [word.text.split() for word in words]
    flat = [token for group in tokens for token in group]
    restored = list(punctuate(flat))
    if len(restored) != len(flat):
        return list(words)
    better = iter(new.strip() or old for new, old in zip(restored, flat, strict=True))
    texts = [join_pieces([next(better) for _ in group]) for group in tokens]
    return [replace(word, text=text) for word, text in zip(words, texts, strict=True)]


def _split_long(words: Sequence[Word], span: tuple[int, int], settings: SentenceSettings) -> Iterator[tuple[int, int]]:
    """Split ``words[a:b]`` at its longest pauses until every part is short enough."""
    counts = np.cumsum([0, *(count_words(word.text) for word in words[span[0] : span[1]])])
    pauses = np.array([pause_between(words[i], words[i + 1]) for i in range(span[0], span[1] - 1)])
    waiting = [span]
    while waiting:
        a, b = waiting.pop()
        too_many = counts[b - span[0]] - counts[a - span[0]] > settings.max_words
        if b - a < 2 or not (too_many or words[b - 1].end - words[a].start > settings.max_seconds):
            yield a, b
            continue
        middle = a + 1 + _longest_pause(pauses[a - span[0] : b - 1 - span[0]])
        waiting += [(middle, b), (a, middle)]


def _longest_pause(pauses: npt.NDArray[np.float64]) -> int:
    """Return the index of the longest pause (to 10 ms); of equal ones the nearest to the middle.

    The first and the last two pauses are not considered if there are more than four.
    """
    edge = 2 if len(pauses) > 4 else 0
    inner = np.round(pauses[edge : len(pauses) - edge], 2)
    best = np.flatnonzero(inner == inner.max()) + edge
    return int(best[np.argmin(np.abs(best - (len(pauses) - 1) / 2))])
