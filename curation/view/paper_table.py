"""The figures of VidLA's Table 1 that those of a DIR are shown beside, and the words of a text as SQL counts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runtime.text.word_units import SQL_WORD
from shards.schema import Level


@dataclass(frozen=True)
class PaperLevel:
    """Means of one level in VidLA's Table 1 (arXiv 2403.14870)."""

    seconds: float
    subtitle_words: float
    subtitle_summary_words: float
    caption_words: float
    caption_summary_words: float


PAPER_TABLE_1: Final[Mapping[Level, PaperLevel]] = {
    "short": PaperLevel(13.2, 31.6, 31.6, 10.9, 10.9),
    "medium": PaperLevel(30.4, 72.1, 19.5, 24.8, 15.2),
    "long": PaperLevel(60.3, 142.1, 22.4, 48.8, 18.8),
}


def words_sql(column: str) -> str:
    """Return the number of words of a text column as an expression of SQL; null for null."""
    return f"len(regexp_extract_all({column}, '{SQL_WORD}'))"
