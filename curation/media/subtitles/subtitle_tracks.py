"""Subtitle files that came with a video, and the choice of the best one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import langcodes

from curation.media.subtitles.subtitle_formats import SubtitleFormat, known_format

TrackKind = Literal["manual", "auto"]
"""``manual``: written by people; ``auto``: recognized by the site."""

_PREFERRED: Final[tuple[SubtitleFormat, ...]] = ("json3", "vtt", "srt", "ass")
_NOT_SPEECH = re.compile(r"(?:^|[._-])(?:chapters?|descriptions?|metadata)(?:[._-][A-Za-z]{2,3})?$")
_NORWEGIAN: Final = frozenset({"nb", "nn"})
_NO_LANGUAGE: Final = frozenset({"und", "mul", "zxx", "mis", "live"})


@dataclass(frozen=True)
class Track:
    """A subtitle file that came with a video."""

    path: Path
    language: str | None
    """The tag that the site uses: ``en``, ``en-US``, ``en-orig``, ``eng``."""
    kind: TrackKind
    format: str
    """File format: ``vtt``, ``srt``, ``json3``, ``ass``."""

    @property
    def is_speech(self) -> bool:
        """False if the file name marks chapters, descriptions or metadata."""
        return _NOT_SPEECH.search(self.path.stem) is None


def language_code(tag: str | None) -> str | None:
    """Return the ISO 639-1 code of a language tag, or the three-letter code if there is no shorter one.

    None if the tag names no single language.
    """
    if not tag:
        return None
    try:
        code = langcodes.Language.get(tag.strip()).language
    except ValueError:
        return None
    return code if code and 2 <= len(code) <= 3 and code not in _NO_LANGUAGE else None


def same_language(code: str | None, other: str | None) -> bool:
    """Return True if two codes of `language_code` name one language, or one contains the other (``no``, ``nb``)."""
    return code is not None and other is not None and _macrolanguage(code) == _macrolanguage(other)


def _macrolanguage(code: str) -> str:
    if code in _NORWEGIAN:
        return "no"
    return langcodes.Language.get(code).prefer_macrolanguage().language or code


def spoken_language(stated: str | None, tracks: Iterable[Track], sound: str | None) -> str | None:
    """Return the ISO 639-1 code of the language that is spoken in a video; None if nothing tells it.

    Args:
        stated: the language that the site states.
        tracks: what came with the video. Sites recognize speech in its own language, so the only language of recognized
            tracks is the one that is spoken.
        sound: language tag of the sound stream, the least reliable.
    """
    automatic = [track.language for track in tracks if track.kind == "auto" and track.language]
    originals = [tag for tag in automatic if tag.lower().endswith("orig")] or automatic
    recognized = {language_code(tag) for tag in originals}
    only = recognized.pop() if len(recognized) == 1 else None
    return language_code(stated) or only or language_code(sound)


def choose_track(tracks: Iterable[Track], languages: Sequence[str], spoken: str | None = None) -> Track | None:
    """Return the best track of speech: written by people before recognized, then in the order of `languages`.

    Args:
        tracks: what came with the video; unreadable formats, chapters and descriptions are ignored.
        languages: tags of wanted languages, best first; empty: any. A track without a language is the last resort.
        spoken: code of the language that is spoken, if known. Then tracks in other languages are translations and
            ignored, and `languages` does not matter.
    """
    wanted = [language_code(tag) for tag in languages] if spoken is None else [spoken]
    ranked = []
    for position, track in enumerate(tracks):
        code, format_ = language_code(track.language), known_format(track.format)
        if format_ is None or not track.is_speech:
            continue
        fitting = [place for place, other in enumerate(wanted) if same_language(code, other)]
        if wanted and code is not None and not fitting:
            continue
        language = len(wanted) if code is None else min(fitting, default=0)
        translated = track.kind == "auto" and not (track.language or "").lower().endswith("orig")
        rank = (track.kind != "manual", language, translated, _PREFERRED.index(format_), position)
        ranked.append((rank, track))
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None
