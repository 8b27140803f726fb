"""Which of a site's subtitles to fetch: people's before machines', wanted languages only, nothing translated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

Kind = Literal["manual", "auto"]
Offered = Mapping[str, Sequence[Mapping[str, Any]]]
"""By language, the same subtitle in several formats, as yt-dlp lists them."""

UNKNOWN: Final = "und"
"""Stands for a language that the site does not name, or not by a code: it becomes part of a file's name."""

_CODE: Final = re.compile(r"[A-Za-z0-9]{2,8}([-_][A-Za-z0-9]{1,8})*")
_FORMATS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "manual": ("vtt", "srt", "json3"),
    "auto": ("json3", "vtt", "srt"),  # json3 tells the time of each word
}


def choose_subtitles(
    manual: Offered, automatic: Offered, languages: Sequence[str]
) -> dict[str, tuple[Kind, Mapping[str, Any]]]:
    """Choose by language: one subtitle each, automatic ones only where people wrote none.

    Args:
        manual: subtitles that the site's people provide.
        automatic: the site's speech recognition, its machine translations included (they are left out).
        languages: wanted languages (``en`` takes ``en-US`` too); empty: all.
    """
    chosen: dict[str, tuple[Kind, Mapping[str, Any]]] = {}
    for kind, language, formats in _candidates(manual, automatic):
        wanted = not languages or _primary(language) in map(_primary, languages)
        auto_too_many = kind == "auto" and any(_primary(other) == _primary(language) for other in chosen)
        entry = _best(formats, _FORMATS[kind])
        if wanted and not auto_too_many and entry is not None:
            chosen[language if _CODE.fullmatch(language) else UNKNOWN] = (kind, entry)
    return chosen


def _candidates(manual: Offered, automatic: Offered) -> Iterator[tuple[Kind, str, Sequence[Mapping[str, Any]]]]:
    for language, formats in manual.items():
        yield "manual", language, formats
    for language, formats in automatic.items():
        yield "auto", language, [entry for entry in formats if not _translated(entry)]


def _translated(entry: Mapping[str, Any]) -> bool:
    return "tlang" in parse_qs(urlsplit(str(entry.get("url", ""))).query)


def _best(formats: Sequence[Mapping[str, Any]], preference: Sequence[str]) -> Mapping[str, Any] | None:
    """The entry in the format that stands first in `preference`; None where none can be read."""
    by_format = {entry.get("ext"): entry for entry in formats}
    return next((by_format[name] for name in preference if name in by_format), None)


def _primary(language: str) -> str:
    """``en`` of ``en-US`` or ``en_orig``."""
    return language.replace("_", "-").partition("-")[0].lower()
