"""Choose the site subtitles to download: people's before machines', in the language that is spoken, no translations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:  # a type only, so that the child process need not import langcodes
    from curation.media.subtitles.subtitle_tracks import TrackKind

Offered = Mapping[str, Sequence[Mapping[str, Any]]]
"""For each language the same subtitle in several formats, as yt-dlp lists them."""

UNKNOWN: Final = "und"
"""Code of a language that the site does not name by a code; the code becomes part of a file name."""

_CODE: Final = re.compile(r"[A-Za-z0-9]{2,8}([-_][A-Za-z0-9]{1,8})*")
_FORMATS: Final[Mapping[TrackKind, tuple[str, ...]]] = {
    "manual": ("vtt", "srt", "json3"),
    "auto": ("json3", "vtt", "srt"),  # json3 has the time of each word
}


def choose_subtitles(
    manual: Offered, automatic: Offered, languages: Sequence[str], spoken: str | None = None
) -> dict[str, tuple[TrackKind, Mapping[str, Any]]]:
    """Choose one subtitle for each language; an automatic one only if people wrote none.

    Where the language that is spoken is known, subtitles in other languages are translations and left out, and
    `languages` does not matter: a video in an unwanted language is then known as such.

    Args:
        manual: subtitles written by people.
        automatic: the site's speech recognition; its machine translations are left out.
        languages: wanted languages (``en`` includes ``en-US``); empty: all.
        spoken: the language that is spoken, if the site states it; otherwise the one that its recognition is in.
    """
    original = spoken or _recognized_language(automatic)
    accepted = {_primary(language) for language in languages} if original is None else {_primary(original)}
    chosen: dict[str, tuple[TrackKind, Mapping[str, Any]]] = {}
    for kind, language, formats in _candidates(manual, automatic):
        wanted = not accepted or _primary(language) in accepted
        redundant = kind == "auto" and any(_primary(other) == _primary(language) for other in chosen)
        entry = _best(formats, _FORMATS[kind])
        if wanted and not redundant and entry is not None:
            chosen[language if _CODE.fullmatch(language) else UNKNOWN] = (kind, entry)
    return chosen


def stated_language(info: Mapping[str, Any]) -> str | None:
    """Return the language that is spoken, as yt-dlp's facts of a video state it; None if they do not.

    Where a video has dubs, the format that the site prefers for its language is the original.
    """
    preferred = [
        (entry["language_preference"], entry["language"])
        for entry in info.get("formats") or ()
        if isinstance(entry.get("language_preference"), int) and entry["language_preference"] > 0
        if isinstance(entry.get("language"), str)
    ]
    language = max(preferred)[1] if preferred else info.get("language")
    return language if isinstance(language, str) and _CODE.fullmatch(language) else None


def _recognized_language(automatic: Offered) -> str | None:
    """Return the only language of the site's speech recognition; None if there are several or none."""
    untranslated = [name for name, formats in automatic.items() if not all(map(_is_translated, formats))]
    originals = [name for name in untranslated if name.lower().endswith("orig")] or untranslated
    languages = {_primary(name) for name in originals}
    return languages.pop() if len(languages) == 1 else None


def _candidates(manual: Offered, automatic: Offered) -> Iterator[tuple[TrackKind, str, Sequence[Mapping[str, Any]]]]:
    for language, formats in manual.items():
        yield "manual", language, formats
    for language, formats in automatic.items():
        yield "auto", language, [entry for entry in formats if not _is_translated(entry)]


def _is_translated(entry: Mapping[str, Any]) -> bool:
    return "tlang" in parse_qs(urlsplit(str(entry.get("url", ""))).query)


def _best(formats: Sequence[Mapping[str, Any]], preference: Sequence[str]) -> Mapping[str, Any] | None:
    """Return the entry in the most preferred format; None if no format can be read."""
    by_format = {entry.get("ext"): entry for entry in formats}
    return next((by_format[name] for name in preference if name in by_format), None)


def _primary(language: str) -> str:
    """Return ``en`` for ``en-US`` or ``en_orig``."""
    return language.replace("_", "-").partition("-")[0].lower()
