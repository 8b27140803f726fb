"""Decode text files of unknown encoding."""

from __future__ import annotations

import codecs
from typing import Final

from curation.media.subtitles.legacy_code_pages import code_page

MAX_BYTES: Final = 16 * 2**20
"""Largest subtitle file; ten hours of words with times take a quarter of it."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(data: bytes, language: str | None = None) -> str:
    r"""Return the text of `data`, with ``\n`` as line ending.

    The byte order mark decides; without one, UTF-8 is tried, then the code pages of `language` (an ISO 639-1 code), and
    then the encoding that `charset_normalizer` finds most likely.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _unify_line_endings(data.decode(encoding, errors="replace"))
    if b"\0" in data[:1000]:
        encoding = "utf-16-le" if data[1:1000:2].count(0) >= data[:1000:2].count(0) else "utf-16-be"
        return _unify_line_endings(data.decode(encoding, errors="replace"))
    try:
        return _unify_line_endings(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _unify_line_endings(data.decode(_likely_encoding(data, language), errors="replace"))


def _unify_line_endings(text: str) -> str:
    return text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")


def _likely_encoding(data: bytes, language: str | None) -> str:
    """Return the likely encoding of the lines that are not ASCII; Western European if it is among the candidates."""
    from charset_normalizer import from_bytes

    distinctive = b"\n".join(line for line in data[: 2**20].splitlines() if not line.isascii())[: 2**15]
    if (page := code_page(distinctive, language)) is not None:
        return page
    likely = [match.encoding for match in from_bytes(distinctive)]
    return likely[0] if likely and "cp1252" not in likely else "cp1252"
