"""Statements that say the same as another one: told twice by a model, or for two parts of one clip. Pure.

Written by hand: measures of similarity take *the light goes on* and *the light goes off* for the same.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Final

import regex

_TOKEN: Final = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=SA}]\p{M}*|[+-]?\p{N}[\p{N}.,:]*%?|\w+")
_ARTICLES: Final = frozenset({"a", "an", "the"})
_BE: Final = frozenset({"is", "are", "was", "were", "be", "being"})
_NOT: Final = frozenset({"no", "not", "without", "never", "nobody", "nothing", "none", "neither", "nor", "t"})
_QUOTED: Final = regex.compile(r"[\"“”„«»「『]")
_SAME_WORD: Final = 0.7
"""Share of letters in common from which two words with the same first letter are forms of one: *stands*, *standing*."""
_LEAST_WORDS: Final = 2


def same_words(one: str, other: str) -> bool:
    """Return True for the same words in the same order, capitals, marks and English articles aside."""
    return _words(one, _ARTICLES) == _words(other, _ARTICLES)


def covers(longer: str, shorter: str) -> bool:
    """Return True if `longer` says all that `shorter` says, so that one of two true statements can be left out.

    The words of the shorter one are all in the longer, in their order, or both have the same words in other forms. A
    denial is never covered by what doesn't deny, nor the other way round; nor is a fact by the quotation of a text.
    """
    full, part = _words(longer, _ARTICLES | _BE), _words(shorter, _ARTICLES | _BE)
    if bool(_QUOTED.search(longer)) != bool(_QUOTED.search(shorter)):
        return False
    if _NOT.intersection(full) != _NOT.intersection(part) or len(part) < _LEAST_WORDS:
        return full == part
    if len(full) == len(part):
        return all(_are_forms(one, other) for one, other in zip(full, part, strict=True))
    rest = iter(full)
    return all(word in rest for word in part)


def _words(text: str, left_out: frozenset[str]) -> list[str]:
    return [token for token in _TOKEN.findall(text.casefold()) if token not in left_out]


def _are_forms(one: str, other: str) -> bool:
    if one == other:
        return True
    if not (one.isalpha() and other.isalpha()) or one[0] != other[0]:
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= _SAME_WORD
