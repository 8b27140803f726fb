"""Site subtitles to words with times: choose a track, decode it, clean it, make it monotone.

The first source of speech for a downloaded video; where it gives nothing, the caller falls back to ASR. Formats are
taken apart in `curation.media.speech.subtitle_formats`, text is cleaned in `curation.media.speech.subtitle_cleaning`.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import langcodes

from curation.media.speech.sentences import monotone
from curation.media.speech.subtitle_cleaning import BREAK, spoken
from curation.media.speech.subtitle_formats import Cue, Format, SubtitleError, read_cues, unroll
from curation.media.speech.transcript import Transcript, Word

__all__ = ["MAX_BYTES", "SubtitleError", "Track", "choose_track", "decode", "language_code", "parse", "read_track"]

Kind = Literal["manual", "auto"]
MAX_BYTES: Final = 16 * 2**20
"""Larger files are no subtitles: ten hours of words with times take a quarter of it."""
WORD_SECONDS: Final = 2.0
"""A single word lasts no longer than this, where words have times of their own."""
_GUESSED_SECONDS = 0.3  # a word of a cue that ends before it starts

_FORMATS: Final[dict[str, Format]] = {
    "json3": "json3",
    "vtt": "vtt",
    "webvtt": "vtt",
    "srt": "srt",
    "subrip": "srt",
    "ass": "ass",
    "ssa": "ass",
}
_PREFERRED: Final[tuple[Format, ...]] = ("json3", "vtt", "srt", "ass")
_NOT_SPEECH = re.compile(r"(?:^|[._-])(?:chapters?|descriptions?|metadata)(?:[._-][A-Za-z]{2,3})?$")
_NO_LANGUAGE: Final = frozenset({"und", "mul", "zxx", "mis", "live"})


@dataclass(frozen=True)
class Track:
    """A subtitle file that came with a video."""

    path: Path
    language: str | None
    """As the site names it: ``en``, ``en-US``, ``en-orig``, ``eng``."""
    kind: Kind
    """``manual``: written by people; ``auto``: recognised by the site."""
    format: str
    """File format: ``vtt``, ``srt``, ``json3``, ``ass``."""


def language_code(tag: str | None) -> str | None:
    """The ISO 639-1 code of a language tag (three letters where there is none of two); None where it names none."""
    if not tag:
        return None
    try:
        code = langcodes.Language.get(tag.strip()).language
    except ValueError:
        return None
    return code if code and 2 <= len(code) <= 3 and code not in _NO_LANGUAGE else None


def choose_track(tracks: Iterable[Track], languages: Sequence[str]) -> Track | None:
    """The best track of speech: written by people before recognised, then in the order of `languages`.

    Args:
        tracks: what came with the video; formats that can't be read, chapters and descriptions are passed over.
        languages: tags of wanted languages, best first; empty: any. A track without a language is the last resort.
    """
    wanted = [language_code(tag) for tag in languages]
    ranked = []
    for place, track in enumerate(tracks):
        code, format = language_code(track.language), _FORMATS.get(track.format.lower())
        if format is None or _NOT_SPEECH.search(track.path.stem):
            continue
        if wanted and code is not None and code not in wanted:
            continue
        language = len(wanted) if code is None else wanted.index(code) if wanted else 0
        translated = track.kind == "auto" and not (track.language or "").lower().endswith("orig")
        ranked.append(((track.kind != "manual", language, translated, _PREFERRED.index(format), place), track))
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def read_track(track: Track, duration: float) -> Transcript:
    """The speech in a subtitle file, within a video of `duration` seconds.

    Returns:
        Monotone words. One word each where the format has word times, else one a cue (a unit no cut may fall into).
        No words where nothing but sounds and music is captioned.

    Raises:
        SubtitleError: not subtitles of speech, or larger than `MAX_BYTES`.
        OSError: the file can't be read.
    """
    if _NOT_SPEECH.search(track.path.stem):
        raise SubtitleError(f"{track.path.name}: by its name not captions")
    with track.path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return parse(data, track.format, duration=duration, language=track.language, origin=track.kind)


def parse(
    data: bytes,
    format: str | None = None,
    *,
    duration: float = math.inf,
    language: str | None = None,
    origin: Kind = "manual",
) -> Transcript:
    """The speech in the bytes of a subtitle file.

    Args:
        data: the file, in any encoding.
        format: ``vtt``, ``srt``, ``json3`` or ``ass``; None: told from the text.
        duration: length of the video in seconds; later words are dropped, the last one is clipped.
        language: tag of the language, where known; else what the file's header says.
        origin: kind of the track.

    Raises:
        SubtitleError: not subtitles of speech, an unknown format, or larger than `MAX_BYTES`.
    """
    if len(data) > MAX_BYTES:
        raise SubtitleError(f"larger than {MAX_BYTES // 2**20} MiB")
    text = decode(data)
    file = read_cues(text, _format_of(text, format))
    words = monotone(_words(unroll(file.cues)), 0.0, duration)
    return Transcript(words, language_code(language) or language_code(file.language), origin)


def decode(data: bytes) -> str:
    """Text of unknown encoding: by its byte order mark, else UTF-8, else what `charset_normalizer` finds likely."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _lines_mended(data.decode(encoding, errors="replace"))
    if b"\0" in data[:1000]:
        encoding = "utf-16-le" if data[1:1000:2].count(0) >= data[:1000:2].count(0) else "utf-16-be"
        return _lines_mended(data.decode(encoding, errors="replace"))
    try:
        return _lines_mended(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _lines_mended(data.decode(_likely_encoding(data), errors="replace"))


_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _lines_mended(text: str) -> str:
    return text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")


def _likely_encoding(data: bytes) -> str:
    """The encoding of the lines that are not ASCII; Western European where nothing tells it from others."""
    from charset_normalizer import from_bytes

    telling = b"\n".join(line for line in data[: 2**20].splitlines() if not line.isascii())[: 2**15]
    likely = [match.encoding for match in from_bytes(telling)]
    return likely[0] if likely and "cp1252" not in likely else "cp1252"


def _format_of(text: str, declared: str | None) -> Format:
    """The format by its signature, else the one declared, else SubRip."""
    start = text[:2000].lstrip("\ufeff \t\n")
    if start.startswith("WEBVTT"):
        return "vtt"
    if start.startswith("[Script Info]"):
        return "ass"
    if declared is None:
        return "json3" if start.startswith("{") else "srt"
    if declared.lower() not in _FORMATS:
        raise SubtitleError(f"format {declared!r} is not one of {', '.join(get_args(Format))}")
    return _FORMATS[declared.lower()]


def _words(cues: Sequence[Cue]) -> list[Word]:
    """The words of cues as the file gives them: perhaps disordered and overlapping, each once."""
    timed = any(part.time is not None for cue in cues for line in cue.lines for part in line)
    words = (word for cue in cues for word in _words_of(cue))
    return list(dict.fromkeys(_bounded(word) if timed else word for word in words))


def _words_of(cue: Cue) -> Iterator[Word]:
    units = [(time, text) for time, text in _units(cue) if any(c.isalnum() for c in text)]
    following_times = [time for time, _ in units[1:]] + [cue.end]
    for (time, text), following in zip(units, following_times, strict=False):
        end = min(following, cue.end) if cue.end > time else following
        yield Word(time, end if end > time else time + _GUESSED_SECONDS * len(text.split()), text)


def _bounded(word: Word) -> Word:
    return Word(word.start, min(word.end, word.start + WORD_SECONDS * len(word.text.split())), word.text)


def _units(cue: Cue) -> list[tuple[float, str]]:
    """Time and text of each part of a cue that has a time of its own; parts without join the one before."""
    text = spoken(("\n" + BREAK).join(BREAK.join(part.text for part in line) for line in cue.lines))
    times = [part.time for line in cue.lines for part in line]
    units: list[tuple[float, str]] = []
    for time, piece in zip(times, text.split(BREAK), strict=True):
        if units and (time is None or _same_word(units[-1][1], piece)):
            units[-1] = units[-1][0], units[-1][1] + piece
        else:
            units.append((cue.start if time is None else time, piece))
    return [(time, " ".join(piece.split())) for time, piece in units]


def _same_word(before: str, piece: str) -> bool:
    """Whether a timed piece continues the word before it: a syllable, or punctuation; scripts with spaces only."""
    if not before or not piece or before[-1].isspace() or piece[0].isspace():
        return False
    if not any(c.isalnum() for c in piece):
        return True
    return before[-1].isalnum() and piece[0].isalnum() and max(before[-1], piece[0]) < "\u0e00"
