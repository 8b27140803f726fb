"""Recognize punctuated text, and decide after which of its words a sentence ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from curation.media.speech.transcript import Word, join_words
from runtime.text.word_units import count_words

_TERMINALS = re.compile(r"[.!?…。！？｡؟۔।။።][\"'”’»」』)\]]*(?=\s|$|[^\W\d_a-z])")
_CLOSING: Final = "\"'”’»›」』】)]*_"
_ALWAYS: Final = "!?。！？｡؟۔।။።"
_TITLES: Final = re.compile(
    r"mrs?|ms|dr|prof|st|sen|rep|gov|gen|col|lt|capt|sgt|rev|hon|vs|e\.g|i\.e|cf|viz|al|approx|z\.b|bzw|dipl|srt?a|dra|m[ml]e|mlle"
)
_NUMBERED: Final = re.compile(r"\d+|nos?|figs?|vol|pp?|ch|art|sec")
_MAYBE: Final = re.compile(
    r"[^\W\di_]|etc|inc|ltd|co|corp|jr|sr|a\.m|p\.m|ph\.d|usw|bros|dept|(?:[^\W\d_]\.)+[^\W\d_]"  # not "So do I."
)


def is_punctuated(words: Sequence[Word], share: float) -> bool:
    """Return True if at least `share` of the words end a sentence."""
    text = join_words(words)
    return len(_TERMINALS.findall(text)) >= share * count_words(text)


def sentence_ends(words: Sequence[Word], pauses: Sequence[float], pause: float) -> list[bool]:
    """Return for each word but the last whether a sentence ends after it.

    Args:
        words: words of punctuated text.
        pauses: seconds of silence after each word but the last.
        pause: seconds; an abbreviation that may end a sentence ends one if the silence after it is at least this long.
    """
    cased = sum(word.text[:1].isupper() for word in words) >= 0.03 * len(words)
    return [
        _ends_after(word.text, following.text, silence >= pause, cased)
        for word, following, silence in zip(words, words[1:], pauses, strict=False)
    ]


def _ends_after(text: str, following: str, paused: bool, cased: bool) -> bool:
    bare = text.rstrip(_CLOSING)
    continues = cased and following.lstrip("\"'“‘«([¿¡").lstrip()[:1].islower()
    if bare.endswith(tuple(_ALWAYS)):
        return not (continues and len(bare) < len(text))  # "What?" he said.
    if bare.endswith(("…", "..")):
        return not continues
    if not bare.endswith(".") or continues:
        return False
    last = bare.split()[-1].rstrip(".").lstrip("\"'“‘«([").lower()
    if _TITLES.fullmatch(last) or (_NUMBERED.fullmatch(last) and following[:1].isdigit()):
        return False
    return paused if _MAYBE.fullmatch(last) else True
