"""Clean-up of texts: put on one line, trimmed to a number of words, shortened from the middle, joined.

Applied to all texts that come from a model or go into a prompt.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_ENDS = ".!?…。！？"
_QUOTES = "\"'“”„«»`"


def tidy(text: str, max_chars: int | None = None) -> str:
    """Return `text` on one line, in valid Unicode without control characters, cut at a word to `max_chars`."""
    sound = text.encode("utf-8", "ignore").decode("utf-8")
    if not sound.isprintable():
        sound = "".join(character for character in sound if not _is_hidden(character))
    line = " ".join(sound.split())
    if max_chars is None or len(line) <= max_chars:
        return line
    cut = line[:max_chars]
    return (cut.rsplit(" ", 1)[0] if line[max_chars] != " " and " " in cut else cut).rstrip(" ,;:")


def unquoted(text: str) -> str:
    """Return `text` without quotation marks around all of it."""
    while len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text


def trim_words(text: str, max_words: int) -> str:
    """Return the first `max_words` words of `text`; words are separated by white space."""
    words = text.split()
    return text if len(words) <= max_words else " ".join(words[:max_words]).rstrip(" ,;:-–—")


def middle_out(text: str, max_chars: int) -> str:
    """Return `text` in at most `max_chars`: replace its middle by ``…`` if it is longer, and cut at words."""
    if len(text) <= max_chars:
        return text
    half = max(max_chars - 3, 2) // 2
    head, tail = text[:half], text[-half:]
    return f"{head.rsplit(' ', 1)[0] if ' ' in head else head} … {tail.split(' ', 1)[-1]}"


def in_sentences(texts: Iterable[str]) -> str:
    """Join `texts` as sentences: add a full stop if there is no end mark, and leave out repetitions."""
    unique: dict[str, str] = {}
    for text in texts:
        if text:
            unique.setdefault(text.casefold().rstrip(" " + _ENDS), text)
    return " ".join(text if text[-1] in _ENDS else f"{text}." for text in unique.values())


def _is_hidden(character: str) -> bool:
    """Return True for control and format characters, except white space and the two joiners of letters."""
    return unicodedata.category(character) in ("Cc", "Cf") and character not in "\u200c\u200d\t\n\r\v\f"
