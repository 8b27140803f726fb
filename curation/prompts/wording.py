"""Texts brought into shape: on one line, trimmed to a number of words, shortened from the middle, joined.

Used on everything that comes from a model or goes into a prompt; knows nothing of either.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_ENDS = ".!?…。！？"
_QUOTES = "\"'“”„«»`"


def tidy(text: str, max_chars: int | None = None) -> str:
    """`text` on one line, in valid Unicode without control characters, cut at a word where longer than `max_chars`."""
    sound = text.encode("utf-8", "ignore").decode("utf-8")
    if not sound.isprintable():
        sound = "".join(character for character in sound if not _is_hidden(character))
    line = " ".join(sound.split())
    if max_chars is None or len(line) <= max_chars:
        return line
    cut = line[:max_chars]
    return (cut.rsplit(" ", 1)[0] if line[max_chars] != " " and " " in cut else cut).rstrip(" ,;:")


def unquoted(text: str) -> str:
    """`text` without the quotation marks around the whole of it."""
    while len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text


def trim_words(text: str, max_words: int) -> str:
    """The first `max_words` words of `text`; words are what white space parts."""
    words = text.split()
    return text if len(words) <= max_words else " ".join(words[:max_words]).rstrip(" ,;:-–—")


def middle_out(text: str, max_chars: int) -> str:
    """`text`, with its middle replaced by ``…`` where it is longer than `max_chars`; cut at words."""
    if len(text) <= max_chars:
        return text
    half = max(max_chars - 3, 2) // 2
    head, tail = text[:half], text[-half:]
    return f"{head.rsplit(' ', 1)[0] if ' ' in head else head} … {tail.split(' ', 1)[-1]}"


def in_sentences(texts: Iterable[str]) -> str:
    """`texts` in a row, each closed by a full stop where it has no end of its own; repetitions are left out."""
    unique: dict[str, str] = {}
    for text in texts:
        if text:
            unique.setdefault(text.casefold().rstrip(" " + _ENDS), text)
    return " ".join(text if text[-1] in _ENDS else f"{text}." for text in unique.values())


def _is_hidden(character: str) -> bool:
    """Control and format characters (but not white space), save the two that join and part letters."""
    return unicodedata.category(character) in ("Cc", "Cf") and character not in "\u200c\u200d\t\n\r\v\f"
