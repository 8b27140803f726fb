"""Reduce captions that grow (``this``, ``this is``, ``this is how``) to the words that each cue adds.

Live captions are painted word by word or letter by letter, and written to files as one cue for each state of the
screen. Runs before `curation.media.subtitles.cues.unroll_cues`, which knows captions that move up by whole lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from curation.media.subtitles.cues import Cue, CuePart, line_text

_TOUCHING: Final = 0.25  # seconds between two states of one screen
_LEAST_RUN: Final = 3  # cues in a row that add to the one before: less may be speech that repeats itself
_LEAST_CORRECTED: Final = 3  # words in a cue whose last one may be another in the next cue
_LONGEST_OVERLAP: Final = 60  # words that are carried over when the first lines leave the screen


def reduce_growing_cues(cues: Sequence[Cue]) -> list[Cue]:
    """Return the cues with each word once, at the start of the cue in which it appears first.

    Cues that do not grow stay as they are. Where most cues grow, words that stay on the screen while the lines above
    them leave it are carried over as well.
    """
    states = [_words(cue) for cue in cues]
    links = [_follows(a, b) for a, b in pairwise(cues)]
    grows = [link and _adds(a, b) for link, (a, b) in zip(links, pairwise(states), strict=True)]
    mostly = sum(grows) >= _LEAST_RUN and 2 * sum(grows) >= len(grows)
    in_run = _runs(grows)
    result: list[Cue] = []
    for i, cue in enumerate(cues):
        carried = _kept_words(states[i - 1], states[i]) if i and links[i - 1] and (mostly or in_run[i - 1]) else 0
        if not carried:
            result.append(cue)
            continue
        if result and states[i][carried - 1] != states[i - 1][-1]:
            result[-1] = _with_last_word(result[-1], states[i][carried - 1])
        if fresh := states[i][carried:]:
            result.append(replace(cue, lines=((CuePart(None, " ".join(fresh)),),)))
    return result


def _words(cue: Cue) -> list[str]:
    """Return the words of a cue; none if it has times of words, which say more than its growth."""
    if any(part.time is not None for line in cue.lines for part in line):
        return []
    return [word for line in cue.lines for word in line_text(line).split()]


def _follows(before: Cue, cue: Cue) -> bool:
    return before.start <= cue.start <= before.end + _TOUCHING


def _adds(before: Sequence[str], words: Sequence[str]) -> bool:
    """Return True if `words` are all of `before`, and more words or letters."""
    if not before or _kept_words(before, words) < len(before):
        return False
    return len(words) > len(before) or len(words[-1]) > len(before[-1])


def _kept_words(before: Sequence[str], words: Sequence[str]) -> int:
    """Return how many first words of `words` are the last of `before`.

    The last of them may have got more letters; in a longer cue that goes on it may also have been corrected.
    """
    for count in [len(before), *range(min(len(before) - 1, _LONGEST_OVERLAP), 0, -1)]:
        if not 0 < count <= len(words) or list(words[: count - 1]) != list(before[len(before) - count : -1]):
            continue
        corrected = count == len(before) >= _LEAST_CORRECTED and len(words) > count
        if corrected or words[count - 1].startswith(before[-1]):
            return count
    return 0


def _runs(grows: Sequence[bool]) -> list[bool]:
    """Return for each pair of cues whether it belongs to a run of at least `_LEAST_RUN` pairs that grow."""
    result = [False] * len(grows)
    first = 0
    for i in range(len(grows) + 1):
        if i < len(grows) and grows[i]:
            continue
        if i - first >= _LEAST_RUN:
            result[first:i] = [True] * (i - first)
        first = i + 1
    return result


def _with_last_word(cue: Cue, word: str) -> Cue:
    """Return the cue with its last word replaced."""
    kept = _words(cue)[:-1]
    return replace(cue, lines=((CuePart(None, " ".join([*kept, word])),),))
