"""Read a subtitle file into words with times: decode it, split it into cues, clean them, make the words monotone.

Formats are parsed in `curation.media.subtitles.subtitle_formats`; text is cleaned in
`curation.media.subtitles.subtitle_cleaning`. If a track gives no words, the caller tries the next one or ASR.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final, get_args

from curation.media.speech.transcript import Transcript, Word
from curation.media.speech.word_times import make_monotone
from curation.media.subtitles.cues import Cue, SubtitleError, unroll_cues
from curation.media.subtitles.growing_captions import reduce_growing_cues
from curation.media.subtitles.speaker_labels import SpeakerLabels, find_labels
from curation.media.subtitles.subtitle_cleaning import BREAK, keep_speech
from curation.media.subtitles.subtitle_formats import SubtitleFormat, known_format, read_cues
from curation.media.subtitles.subtitle_tracks import Track, TrackKind, language_code
from curation.media.subtitles.text_encoding import MAX_BYTES, decode_text
from runtime.children.helper_process import HelperFailed, call_in_helper
from runtime.retry_limits import SUBTITLE_SECONDS
from runtime.text.word_units import count_words, join_pieces

WORD_SECONDS: Final = 2.0
"""Longest duration of a single word, if words have times of their own."""
_GUESSED_SECONDS = 0.3  # duration of a word in a cue that ends before it starts


def read_track(track: Track, duration: float) -> Transcript:
    """Return the speech in a subtitle file, within a video of `duration` seconds.

    Returns:
        Monotone words: one for each spoken word if the format has word times, otherwise one for each cue (no cut may
        fall into it). No words if only sounds and music are captioned.

    Raises:
        SubtitleError: the file has no subtitles of speech, or is larger than `MAX_BYTES`.
        OSError: the file can't be read.
    """
    if not track.is_speech:
        raise SubtitleError(f"{track.path.name}: the file name says that these are not captions")
    with track.path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return parse_subtitles(data, track.format, duration=duration, language=track.language, origin=track.kind)


def read_track_guarded(track: Track, duration: float) -> Transcript:
    """Return `read_track(track, duration)`, made in a helper process that is ended if it exceeds its limits.

    Raises:
        SubtitleError: as `read_track` does; or the file takes too long or too much memory, or crashes the parser.
        OSError: the file can't be read.
    """
    try:
        return call_in_helper(SUBTITLE_SECONDS.seconds, read_track, track, duration)
    except HelperFailed as error:
        raise SubtitleError(f"parsing it {error}") from None


def parse_subtitles(
    data: bytes,
    format_: str | None = None,
    *,
    duration: float = math.inf,
    language: str | None = None,
    origin: TrackKind = "manual",
) -> Transcript:
    """Return the speech in the bytes of a subtitle file.

    Args:
        data: the file, in any encoding.
        format_: ``vtt``, ``srt``, ``json3`` or ``ass``; None: detected from the text.
        duration: length of the video in seconds; later words are dropped, the last one is clipped.
        language: tag of the language, if known; otherwise the file's header is used.
        origin: kind of the track.

    Raises:
        SubtitleError: no subtitles of speech, an unknown format, or larger than `MAX_BYTES`.
    """
    if len(data) > MAX_BYTES:
        raise SubtitleError(f"larger than {MAX_BYTES // 2**20} MiB")
    text = decode_text(data, language_code(language) or language_code(_header_language(data)))
    file = read_cues(text, _detect_format(text, format_))
    words = make_monotone(_words(unroll_cues(reduce_growing_cues(file.cues))), 0.0, duration)
    share = len(file.cues) / max(len(file.cues) + file.unread, 1)
    return Transcript(words, language_code(language) or language_code(file.language), origin, share)


def _header_language(data: bytes) -> str | None:
    """Return the language in the header of WebVTT, which is ASCII in any code page."""
    match = re.match(rb"WEBVTT[^\n]*\n(?:[^\n]+\n){0,10}?Language:[ \t]*([A-Za-z-]{2,20})", data[:1000])
    return None if match is None else match[1].decode()


def _detect_format(text: str, declared: str | None) -> SubtitleFormat:
    """Return the format of the file's signature, otherwise the declared one, otherwise SubRip."""
    start = text[:2000].lstrip("\ufeff \t\n")
    if start.startswith("WEBVTT"):
        return "vtt"
    if start.startswith("[Script Info]"):
        return "ass"
    if declared is None:
        return "json3" if start.startswith("{") else "srt"
    known = known_format(declared)
    if known is None:
        raise SubtitleError(f"format {declared!r} is not one of {', '.join(get_args(SubtitleFormat))}")
    return known


def _words(cues: Sequence[Cue]) -> list[Word]:
    """Return the words of cues in the order of the file, each once; their times may be disordered and overlap."""
    timed = any(part.time is not None for cue in cues for line in cue.lines for part in line)
    labels = find_labels(map(_text_with_breaks, cues))
    words = (word for cue in cues for word in _words_of_cue(cue, labels))
    return list(dict.fromkeys(_limit_duration(word) if timed else word for word in words))


def _words_of_cue(cue: Cue, labels: SpeakerLabels) -> Iterator[Word]:
    units = [(time, text) for time, text in _timed_texts(cue, labels) if any(c.isalnum() for c in text)]
    following_times = [time for time, _ in units[1:]] + [cue.end]
    for (time, text), following in zip(units, following_times, strict=False):
        end = min(following, cue.end) if cue.end > time else following
        yield Word(time, end if end > time else time + _GUESSED_SECONDS * count_words(text), text)


def _limit_duration(word: Word) -> Word:
    return Word(word.start, min(word.end, word.start + WORD_SECONDS * count_words(word.text)), word.text)


def _text_with_breaks(cue: Cue) -> str:
    return ("\n" + BREAK).join(BREAK.join(part.text for part in line) for line in cue.lines)


def _timed_texts(cue: Cue, labels: SpeakerLabels) -> list[tuple[float, str]]:
    """Return time and text of each part of a cue with a time; parts without a time join the part before."""
    text = keep_speech(_text_with_breaks(cue), labels)
    times = [part.time for line in cue.lines for part in line]
    units: list[tuple[float, str]] = []
    for time, piece in zip(times, text.split(BREAK), strict=True):
        if units and (time is None or _continues_word(units[-1][1], piece)):
            units[-1] = units[-1][0], units[-1][1] + piece
        else:
            units.append((cue.start if time is None else time, piece))
    return [(time, join_pieces(" ".join(line.split()) for line in piece.splitlines())) for time, piece in units]


def _continues_word(before: str, piece: str) -> bool:
    """Return True if a timed piece is a syllable or punctuation of the word before it; only in scripts with spaces."""
    if not before or not piece or before[-1].isspace() or piece[0].isspace():
        return False
    if not any(c.isalnum() for c in piece):
        return True
    return before[-1].isalnum() and piece[0].isalnum() and max(before[-1], piece[0]) < "\u0e00"
