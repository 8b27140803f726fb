"""Clean-up of texts: put on one line, trimmed to a number of words, shortened from the middle, joined.

Applied to all texts that come from a model or go into a prompt.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import pairwise

import regex

from runtime.text.sound_text import sound_text
from runtime.text.word_units import is_east_asian_end, is_south_east_asian_end

_ENDS = ".!?…。！？।؟۔።։"
_QUOTES = "\"'“”„«»`"
_SENTENCE_END = regex.compile(
    r"""(?<!\b(?:(?i:mr|mrs|ms|dr|prof|st|no(?=\.\s*\d)|vs|jr|sr|mt|approx|e\.g|i\.e)|\p{Lu})\.)   # titles and initials
    (?:(?<=[.!?…।؟۔።։]["'”’»)\]]*)(?=\s|$) | (?<=[。！？]["'”’»」』）)\]]*)(?!["'”’»」』）)\]。！？]))""",
    regex.VERBOSE,
)
_CLAUSE_END = regex.compile(r"[,;:，；：、](?=\s|[^\x00-\u2fff])|\s[–—-](?=\s)")


def tidy(text: str, max_chars: int | None = None) -> str:
    """Return `text` on one line, in valid Unicode without control characters, cut at a word to `max_chars`."""
    sound = sound_text(text)
    if not sound.isprintable():
        sound = "".join(character for character in sound if not _is_hidden(character))
    line = " ".join(sound.split())
    if max_chars is None or len(line) <= max_chars:
        return line
    cut = line[:max_chars]
    return (cut.rsplit(" ", 1)[0] if line[max_chars] != " " and " " in cut else cut).rstrip(" ,;:")


def split_sentences(line: str) -> list[str]:
    """Split a line into sentences, each with the white space after it; the last one may have no end mark."""
    ends = [match.start() for match in _SENTENCE_END.finditer(line)]
    bounds = [0, *ends, len(line)]
    return [part for start, end in pairwise(bounds) if (part := line[start:end])]


def ends_whole(text: str) -> bool:
    """Return True if a text ends with an end mark, closing quotation marks and brackets aside."""
    return text.rstrip(" \"'”’»」』）)]").endswith(tuple(_ENDS))


def whole_part(line: str) -> str:
    """Return the whole sentences at the start of a line that breaks off.

    Without one, the line up to its last clause, marked with ``…``: no later step may then take it for a sentence.
    """
    ends = [match.start() for match in _SENTENCE_END.finditer(line)]
    if ends and line[: ends[-1]].strip():
        return line[: ends[-1]].strip()
    clauses = [match.start() for match in _CLAUSE_END.finditer(line) if 2 * match.start() >= len(line)]
    clause = line[: clauses[-1]] if clauses else line
    bare = clause.rstrip(" ,;:-–—、，；：")
    return f"{bare}…" if bare else ""


def cut_to(line: str, max_chars: int) -> str:
    """Return a line in at most `max_chars`: a longer one is cut after its last whole sentence; see `whole_part`."""
    if len(line) <= max_chars:
        return line
    whole = whole_part(tidy(line, max_chars))
    return whole if len(whole) <= max_chars else whole_part(tidy(line, max_chars - 1))[:max_chars]


def unquoted(text: str) -> str:
    """Return `text` without quotation marks around all of it."""
    while len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text


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
    joined = ""
    for text in unique.values():
        space = "" if not joined or is_east_asian_end(joined) else " "
        joined += f"{space}{_with_end(text)}"
    return joined


def _with_end(text: str) -> str:
    """Return a text with the end mark of its script; Thai and its relatives have none."""
    if ends_whole(text) or is_south_east_asian_end(text):
        return text
    return f"{text}。" if is_east_asian_end(text) else f"{text}."


def _is_hidden(character: str) -> bool:
    """Return True for control and format characters, except white space and the two joiners of letters."""
    return unicodedata.category(character) in ("Cc", "Cf") and character not in "\u200c\u200d\t\n\r\v\f"
