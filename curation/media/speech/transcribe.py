"""Transcribe a video: from the site's subtitles, otherwise from subtitles inside the file, otherwise from its sound.

    site subtitles ──▶ subtitles in the container ──▶ sound in windows ──▶ recognizer pool ──▶ Transcript

Subtitles count as the speech of a video if they are in the language that is spoken, can be read, and cover what is
said; those that are not whole are used where nothing is heard. Broken subtitles or sound never fail a video: the next
source of words is tried.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Final

from curation.media.picture.video_records import VideoSpan
from curation.media.speech.sound_listening import Listener
from curation.media.speech.stream_choice import rank_sound
from curation.media.speech.stream_extraction import embedded_tracks, extract_captions
from curation.media.speech.subtitle_reading import read_track_guarded
from curation.media.speech.transcribe_settings import TranscribeSettings
from curation.media.speech.transcript import Transcript
from curation.media.speech.word_times import make_monotone
from curation.media.subtitles.cues import SubtitleError
from curation.media.subtitles.subtitle_tracks import Track, choose_track, language_code, spoken_language
from runtime.log import get_logger
from runtime.processes import ProcessFailed, ProcessTimeout
from runtime.ray_runner.stage import Service

_MOST_TRACKS: Final = 16  # subtitles that are tried; extracting one reads the whole file
_WHOLE: Final = 0.8  # least share of its cues that must be readable in a track
_log = get_logger(__name__)


def transcribe(
    span: VideoSpan,
    tracks: Sequence[Track],
    settings: TranscribeSettings,
    asr: Service | None,
    scratch: Path,
    stated_language: str | None = None,
    wanted_languages: Sequence[str] = (),
) -> Transcript:
    """Return the words said in a span of a video.

    Args:
        span: the span of a local video file; only words that touch it are returned.
        tracks: subtitle files that came with the video.
        settings: see `TranscribeSettings`.
        asr: pool of `curation.engines.models.speech_recognizer.Recognizer`; None: speech is not recognized.
        scratch: folder for large temporary files (six bytes a sample: 345 MB an hour of sound), removed again here.
        stated_language: tag of the language that is spoken, if the site states it.
        wanted_languages: codes of the speech that is kept; they decide among sound streams if `settings` names none.

    Returns:
        Monotone words; origin `none` without words if there are neither subtitles nor speech.

    Raises:
        MachineError: the machine is at fault (disk full, recognizer dead), never the data.
    """
    streams = rank_sound(span.probe.audio, settings.languages or wanted_languages)
    tag = streams[0].language if streams else None
    with tempfile.TemporaryDirectory(dir=scratch, prefix="words_") as name:
        folder, listener, partial = Path(name), None, None
        if settings.asr is not None and asr is not None:
            listener = Listener(span, streams, settings.window_seconds, settings.asr, asr, folder)
        if settings.subtitles == "prefer":
            spoken = spoken_language(stated_language, tracks, tag)
            for written in _subtitles(span, tracks, settings.languages, spoken, listener, folder):
                if _is_whole(written, listener):
                    return written
                _log.info("%s: subtitles (%s) do not cover the speech", span.path.name, written.language or "?")
                partial = partial or written
        heard = Transcript() if listener is None else listener.transcribe()
    return heard if heard.words or partial is None else partial


def _is_whole(written: Transcript, listener: Listener | None) -> bool:
    if written.read_share < _WHOLE:
        return False
    return listener is None or listener.are_whole(written.words)


def _subtitles(
    span: VideoSpan,
    tracks: Sequence[Track],
    languages: Sequence[str],
    spoken: str | None,
    listener: Listener | None,
    folder: Path,
) -> Iterator[Transcript]:
    """Yield the subtitles that can be read and have words in the span: the site's, then the container's."""
    embedded = embedded_tracks(span, folder)
    if spoken is None and listener is not None and _are_of_many_languages([*tracks, *embedded]):
        spoken = listener.language()
    ranked = chain(_rank(tracks, languages, spoken), _rank(embedded, languages, spoken))
    for track in islice(ranked, _MOST_TRACKS):
        try:
            if track in embedded:
                extract_captions(span, embedded[track], track.path)
            transcript = read_track_guarded(track, span.probe.duration)
        except (SubtitleError, ProcessFailed, ProcessTimeout, FileNotFoundError) as error:
            _log.info("subtitles %s can't be used: %s", track.path.name, error)
            continue
        if words := make_monotone(transcript.words, span.start, span.end):
            yield replace(transcript, words=words)


def _are_of_many_languages(tracks: Iterable[Track]) -> bool:
    return len({code for track in tracks if (code := language_code(track.language)) is not None}) > 1


def _rank(tracks: Iterable[Track], languages: Sequence[str], spoken: str | None) -> Iterator[Track]:
    """Yield the usable tracks from best to worst."""
    left = list(tracks)
    while (best := choose_track(left, languages, spoken)) is not None:
        yield best
        left.remove(best)
