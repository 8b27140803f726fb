"""Words of any script: how many a text has, its first ones, and how pieces of speech are joined.

Scripts without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) are counted by their letters, with
a word's usual number of letters: dictionaries would be a large model for each language, and limits need no exact count.
In all other scripts words are what white space divides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from math import ceil
from typing import Final

import regex

_EAST_ASIAN: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}ー々〆"
_SOUTH_EAST_ASIAN: Final = r"\p{Line_Break=SA}"  # Thai, Lao, Khmer, Burmese and their relatives
_LETTERS_PER_WORD: Final = {"east": 2, "south_east": 4}
_UNIT: Final = regex.compile(
    rf"(?P<east>[{_EAST_ASIAN}]\p{{M}}*)|(?P<south_east>(?=[{_SOUTH_EAST_ASIAN}])\X)"
    rf"|(?P<word>[^\W{_EAST_ASIAN}{_SOUTH_EAST_ASIAN}]+)|\X"
)
_DENSE: Final = regex.compile(rf"[{_EAST_ASIAN}{_SOUTH_EAST_ASIAN}]")
_EAST_ASIAN_SIDE: Final = (
    rf"[{_EAST_ASIAN}\p{{Block=CJK_Symbols_And_Punctuation}}\p{{Block=Halfwidth_And_Fullwidth_Forms}}・…―]"
)
_EAST_ASIAN_START: Final = regex.compile(_EAST_ASIAN_SIDE)
_EAST_ASIAN_END: Final = regex.compile(rf"{_EAST_ASIAN_SIDE}\p{{M}}*\Z")
_SOUTH_EAST_ASIAN_START: Final = regex.compile(rf"[{_SOUTH_EAST_ASIAN}]")
_SOUTH_EAST_ASIAN_END: Final = regex.compile(rf"[{_SOUTH_EAST_ASIAN}]\p{{M}}*\Z")
_LAST_LETTER_EAST_ASIAN: Final = regex.compile(rf"[{_EAST_ASIAN}][^\w]*\Z")
_LETTER: Final = regex.compile(r"\p{L}")
_SQL_SOUTH_EAST: Final = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_SQL_REST: Final = rf"[^\s{_EAST_ASIAN}{_SQL_SOUTH_EAST}]"
SQL_WORD: Final = rf"[{_EAST_ASIAN}]{{1,2}}|[{_SQL_SOUTH_EAST}]{{1,5}}|{_SQL_REST}*[\pL\pN]{_SQL_REST}*"
"""Pattern that matches about one word, for DuckDB's expressions: means over whole tables need no exact count."""
_BREAKS_AFTER: Final = " ,;:-–—、，；：・"


def count_words(text: str) -> int:
    """Return the number of words; two Chinese or Japanese letters are a word, and four Thai ones."""
    return sum(_words_in(token) for token in text.split())


def trim_words(text: str, max_words: int) -> str:
    """Return the first `max_words` words of `text`, as `count_words` counts them."""
    kept: list[str] = []
    left = max_words
    for token in text.split():
        words = _words_in(token)
        if words > left:
            kept += [part for part in [_first_words(token, left)] if part]
            return " ".join(kept).rstrip(_BREAKS_AFTER)
        kept.append(token)
        left -= words
    return text


def join_pieces(pieces: Iterable[str]) -> str:
    """Join pieces of speech as their script does: with a space, or without one in scripts that have none.

    Between Latin letters or digits and Chinese or Japanese ones there is no space if the text is mostly of the latter.
    """
    texts = [piece for piece in pieces if piece]
    kinds = Counter(unit.lastgroup for text in texts for unit in _UNIT.finditer(text))
    mostly_east = kinds["east"] > kinds["word"]
    joined = texts[:1]
    for before, text in pairwise(texts):
        joined.append(text if _touch(before, text, mostly_east) else f" {text}")
    return "".join(joined)


def are_two_words(before: str, text: str) -> bool:
    """Return True if pieces of speech that no space parts are two words: scripts without spaces are on either side."""
    east = _EAST_ASIAN_END.search(before) or _EAST_ASIAN_START.match(text)
    return bool(east or _SOUTH_EAST_ASIAN_END.search(before) or _SOUTH_EAST_ASIAN_START.match(text))


def is_east_asian_end(text: str) -> bool:
    """Return True if the last letter of a text is Chinese or Japanese."""
    return bool(_LAST_LETTER_EAST_ASIAN.search(text))


def is_south_east_asian_end(text: str) -> bool:
    """Return True if a text ends with a letter of a script that puts spaces, not marks, between sentences."""
    return bool(_SOUTH_EAST_ASIAN_END.search(text))


def _touch(before: str, text: str, mostly_east: bool) -> bool:
    ends, starts = bool(_EAST_ASIAN_END.search(before)), bool(_EAST_ASIAN_START.match(text))
    if ends or starts:
        return (ends and starts) or mostly_east
    return bool(_SOUTH_EAST_ASIAN_END.search(before) and _SOUTH_EAST_ASIAN_START.match(text))


def _words_in(token: str) -> int:
    """Return the number of words in a token without white space; at least one."""
    return max(1, ceil(sum(_weights(token)))) if _DENSE.search(token) else 1


def _first_words(token: str, max_words: int) -> str:
    """Return the start of a token that has at most `max_words` words; nothing of a token in a script with spaces."""
    if max_words < 1 or not _DENSE.search(token):
        return ""
    total, end = 0.0, 0
    for unit, weight in zip(_UNIT.finditer(token), _weights(token), strict=True):
        total += weight
        if total > max_words:
            break
        end = unit.end()
    return token[:end]


def _weights(token: str) -> list[float]:
    """Return the share of a word that each unit of a token is."""
    return [_weight(unit[0], unit.lastgroup) for unit in _UNIT.finditer(token)]


def _weight(unit: str, kind: str | None) -> float:
    if kind == "word":
        return 1.0
    return len(_LETTER.findall(unit)) / _LETTERS_PER_WORD[kind] if kind else 0.0
