"""Transcribe a video: from the site's subtitles, otherwise from subtitles inside the file, otherwise from its sound.

    site subtitles ──▶ subtitles in the container ──▶ sound in windows ──▶ recognizer pool ──▶ Transcript

Sound is extracted once to a file in scratch and read in windows of at most ten minutes, so that memory does not grow
with a video's length. Broken subtitles or sound never fail a video: the next source of words is tried.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from curation.engines.engine_interface import RecognizedSpeech
from curation.engines.speech_recognizer import SAMPLE_RATE, AsrSettings
from curation.media.picture.video_records import VideoSpan
from curation.media.speech.cues import SubtitleError
from curation.media.speech.sound_windows import SoundFile, split_sound
from curation.media.speech.stream_extraction import embedded_tracks, extract_captions, extract_sound
from curation.media.speech.subtitle_reading import read_track
from curation.media.speech.subtitle_tracks import Track, choose_track
from curation.media.speech.transcribe_settings import TranscribeSettings
from curation.media.speech.transcript import Transcript, Word
from curation.media.speech.word_times import make_monotone
from runtime.log import get_logger
from runtime.models.model_uri import ModelURI
from runtime.processes import ProcessFailed, ProcessTimeout
from runtime.ray_runner.stage import Service

_SURE: Final = 0.5  # probability at which a detected language is used for the rest of the video
_log = get_logger(__name__)


def transcribe(
    span: VideoSpan, tracks: Sequence[Track], settings: TranscribeSettings, asr: Service | None, scratch: Path
) -> Transcript:
    """Return the words said in a span of a video.

    Args:
        span: the span of a local video file; only words that touch it are returned.
        tracks: subtitle files that came with the video.
        settings: see `TranscribeSettings`.
        asr: pool of `curation.engines.speech_recognizer.Recognizer`; None: speech is not recognized.
        scratch: folder for large temporary files (two bytes a sample: 115 MB an hour of sound), removed again here.

    Returns:
        Monotone words; origin `none` without words if there are neither subtitles nor speech.

    Raises:
        MachineError: the machine is at fault (disk full, recognizer dead), never the data.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="words_") as folder:
        if settings.subtitles == "prefer":
            written = _read_subtitles(span, tracks, settings.languages, Path(folder))
            if written is not None:
                return written
        if settings.asr is None or asr is None:
            return Transcript()
        for stream in span.probe.audio:
            sound = extract_sound(span, stream, Path(folder))
            if sound is not None:
                return _recognize(sound, span, settings, settings.asr, asr)
    return Transcript()


def _read_subtitles(
    span: VideoSpan, tracks: Sequence[Track], languages: Sequence[str], folder: Path
) -> Transcript | None:
    """Return the first subtitles that can be read and have words in the span: the site's, then the container's."""
    embedded = embedded_tracks(span, folder)
    for track in (*_rank(tracks, languages), *_rank(embedded, languages)):
        try:
            if track in embedded:
                extract_captions(span, embedded[track], track.path)
            transcript = read_track(track, span.probe.duration)
        except (SubtitleError, ProcessFailed, ProcessTimeout, FileNotFoundError) as error:
            _log.info("subtitles %s can't be used: %s", track.path.name, error)
            continue
        if words := make_monotone(transcript.words, span.start, span.end):
            return replace(transcript, words=words)
    return None


def _rank(tracks: Iterable[Track], languages: Sequence[str]) -> Iterator[Track]:
    """Yield the usable tracks from best to worst."""
    left = list(tracks)
    while (best := choose_track(left, languages)) is not None:
        yield best
        left.remove(best)


def _recognize(
    sound: SoundFile, span: VideoSpan, settings: TranscribeSettings, recognizer: AsrSettings, asr: Service
) -> Transcript:
    """Recognize a span's sound window by window; the first sure language is used for all later windows."""
    language = recognizer.language
    answers: list[RecognizedSpeech] = []
    words: list[Word] = []
    for first, last in split_sound(sound, round(settings.window_seconds * SAMPLE_RATE)):
        window = sound[first:last]
        if not window.any():
            continue
        answer: RecognizedSpeech = asr.call("transcribe", window, language)
        if language is None and answer.words and answer.language_probability >= _SURE:
            language = answer.language
        shift = span.start + first / SAMPLE_RATE
        words += [Word(shift + start, shift + end, text) for start, end, text in answer.words]
        answers.append(answer)
    if not (monotone := make_monotone(words, span.start, span.end)):
        return Transcript()
    guess = max(answers, key=lambda answer: answer.language_probability).language
    return Transcript(monotone, language or guess, f"asr:{ModelURI.parse(recognizer.model).name}")
