"""The language of a short text: for judges that abstain in some, and for answers in another than that of their prompt.

Judges were measured in some languages only. Models that know more of another language at times answer in it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

import regex

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_LEAST_PROBABILITY: Final = 0.5
_SHORT: Final = 24
_FOREIGN: Final = 0.01
"""Least probability of the asked language; 2 of 12,221 English captions of videos in test annotations have less."""
_CODE: Final = regex.compile(r"\S*\d\S*")
_SURE: Final = 0.9
_LATIN: Final = regex.compile(r"[\p{Latin}\P{L}]*")


def is_in(text: str, languages: Collection[str], context: str = "") -> bool:
    """Return True if a text is probably in one of `languages`.

    Args:
        text: one line.
        languages: ISO 639-1; every text is in them if there are none.
        context: a text that helps with a short one in the same script: a word or two can be of several languages.
    """
    if not languages:
        return True
    if len(text) < _SHORT and _LATIN.fullmatch(text):
        text = f"{text} {context}"
    return sum(probabilities(text).get(name, 0.0) for name in languages) >= _LEAST_PROBABILITY


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of the language that a text is surely in; None if it is short or not so sure."""
    if len(text) < _SHORT:
        return None
    language, probability = max(probabilities(" ".join(text.split())).items(), key=lambda item: item[1])
    return language if probability >= _SURE else None


def is_foreign(text: str, language: str | None) -> bool:
    """Return True if a text is surely not in a language; a word or two in Latin letters can be of any.

    Args:
        text: one line.
        language: ISO 639-1; None: any.
    """
    words = " ".join(_CODE.sub(" ", text).split())  # figures and names of files are of no language
    if language is None or (len(words) < _SHORT and _LATIN.fullmatch(words)):
        return False
    return probabilities(words).get(language, 0.0) < _FOREIGN


@lru_cache(maxsize=16384)  # a frame caption is looked at for every claim that cites it
def probabilities(text: str) -> dict[str, float]:
    """Return the probability of each language that a text may be in."""
    ranked = [(name, float(value)) for name, value in _identifier().rank(text.lower())]  # capitals mislead it
    highest = max(value for _, value in ranked)
    weights = {name: math.exp(value - highest) for name, value in ranked}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
