"""Words that two texts have in common, for the check of summaries against the text that they condense. Pure.

Words are compared by their stems (Snowball's, for English). Words of fewer than four letters hardly ever say what a
text is about and don't count; in scripts without spaces each letter does. Negation, order and synonyms are not looked
at: claims go to judges (`curation.grounding`), which do.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final, Protocol

import regex

_DENSE: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=SA}"
_WORD: Final = regex.compile(rf"[{_DENSE}]\p{{M}}*|\p{{N}}+(?:[.,]\p{{N}}+)*|[^\W{_DENSE}]+(?:['’][^\W{_DENSE}]+)*")
_SHORTEST: Final = 4
_NUMBER_OR_NAME: Final = regex.compile(
    r"\p{N}+(?:[.,]\p{N}+)*|(?<=[\p{L}\p{N},;:]\s+[\"“(]*)\p{Lu}[\p{L}\p{N}]*"  # a capital within a sentence
)


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...


def content_words(text: str) -> frozenset[str]:
    """Return the stems of the words of a text that are long enough to say something, and its numbers."""
    return frozenset(_stems(text))


def covers(source: str, text: str, share: float) -> bool:
    """Return True if `source` holds all numbers and names of `text`, and `share` of its words."""
    there = content_words(source) | {word.casefold() for word in _WORD.findall(_plain(source))}
    words = _stems(text)
    exact = [word.casefold() for word in _NUMBER_OR_NAME.findall(_plain(text)) if word != "I"]
    if not words or not all(word in there for word in exact):
        return False
    return sum(word in there for word in words) >= share * len(words)


def _stems(text: str) -> list[str]:
    """Return the stems of the long words; of a text without any, all words as they are."""
    words = [word.casefold() for word in _WORD.findall(_plain(text))]
    return [stem for word in words if (stem := _stem(word))] or words


def _stem(word: str) -> str:
    """Return the stem of a word; nothing for a word that is too short."""
    if regex.match(rf"[{_DENSE}\p{{N}}]", word):
        return word
    return _stemmer().stemWord(word.split("'")[0]) if len(word) >= _SHORTEST else ""


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("’", "'")


@cache
def _stemmer() -> _Stemmer:
    import snowballstemmer

    stemmer: _Stemmer = snowballstemmer.stemmer("english")
    return stemmer
