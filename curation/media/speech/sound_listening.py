"""Listen to the sound of a span: recognize its words, find its language, and see how much of it subtitles cover.

The sound of a stream is extracted once, when it is first needed, and read in windows of at most ten minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from curation.engines.engine_interface import RecognizedSpeech
from curation.engines.models.speech_recognizer import SAMPLE_RATE, AsrSettings
from curation.media.picture.video_records import AudioStream, VideoSpan
from curation.media.speech.sound_windows import Sound, SoundFile, split_sound
from curation.media.speech.stream_choice import is_main_sound
from curation.media.speech.stream_extraction import extract_sound
from curation.media.speech.transcript import Transcript, Word
from curation.media.speech.word_times import make_monotone
from runtime.log import get_logger
from runtime.models.model_uri import ModelURI
from runtime.ray_runner.stage import Service

_SURE: Final = 0.5  # probability at which a detected language is believed
_PLENTY: Final = 0.4  # share of a span's seconds; subtitles that fill it are not compared with the sound
_COVERED: Final = 0.5  # least share of the voiced seconds that subtitles must cover
_MARGIN: Final = 1.0  # seconds around a cue that count as covered
_FEW_SECONDS: Final = 5.0  # voiced seconds below which the sound says nothing of subtitles
_LANGUAGE_SECONDS: Final = 60  # of sound from which a language is detected
_log = get_logger(__name__)


class Listener:
    """Listens to the sound of one span with the recognizer pool."""

    def __init__(
        self,
        span: VideoSpan,
        streams: Sequence[AudioStream],
        window_seconds: float,
        recognizer: AsrSettings,
        asr: Service,
        folder: Path,
    ) -> None:
        """Prepare to listen to `streams`, best first; sound is extracted to `folder`."""
        self._span = span
        self._streams = streams
        self._window = round(window_seconds * SAMPLE_RATE)
        self._recognizer = recognizer
        self._asr = asr
        self._folder = folder
        self._sounds: dict[int, SoundFile | None] = {}

    def transcribe(self) -> Transcript:
        """Return the words of the first stream that has any; no words if there are none.

        A commentary is only heard where nothing else can be decoded.
        """
        decoded = False
        for stream in self._streams:
            sound = self._sound(stream)
            if sound is None or (decoded and not is_main_sound(stream)):
                continue
            decoded = True
            transcript = self._recognize(sound)
            if transcript.words:
                return transcript
        return Transcript()

    def language(self) -> str | None:
        """Return the language of the speech, from the loudest minute of the sound; None if it is not sure."""
        sound = self._first_sound()
        if sound is None:
            return None
        length = _LANGUAGE_SECONDS * SAMPLE_RATE
        minutes = (sound[first : first + length] for first in range(0, min(len(sound), 10 * length), length))
        loudest = max(minutes, key=lambda minute: float(abs(minute.astype("float32")).mean()))
        if not loudest.any():
            return None
        language, probability = self._asr.call("detect_language", loudest)
        return language if probability >= _SURE else None

    def are_whole(self, words: Sequence[Word]) -> bool:
        """Return True if subtitles cover the speech: they fill much of the span, or most of what is voiced."""
        filled = sum(word.end - word.start for word in words)
        if filled >= _PLENTY * self._span.seconds:
            return True
        voiced = list(self._voiced())
        total = sum(end - start for start, end in voiced)
        return total < _FEW_SECONDS or _overlap(voiced, words) >= _COVERED * total

    def _sound(self, stream: AudioStream) -> SoundFile | None:
        if stream.index not in self._sounds:
            self._sounds[stream.index] = extract_sound(self._span, stream, self._folder)
        return self._sounds[stream.index]

    def _first_sound(self) -> SoundFile | None:
        return next((sound for sound in map(self._sound, self._streams) if sound is not None), None)

    def _windows(self, sound: SoundFile) -> Iterator[tuple[float, Sound]]:
        """Yield the windows of a sound that are not silent, with their start in seconds of the video."""
        for first, last in split_sound(sound, self._window):
            window = sound[first:last]
            if window.any():
                yield self._span.start + first / SAMPLE_RATE, window

    def _voiced(self) -> Iterator[tuple[float, float]]:
        """Yield start and end of the stretches with voices, in seconds of the video."""
        sound = self._first_sound()
        if sound is None:
            return
        for shift, window in self._windows(sound):
            for start, end in self._asr.call("voiced_stretches", window):
                yield shift + start, shift + end

    def _recognize(self, sound: SoundFile) -> Transcript:
        """Recognize a sound window by window; the first sure language is used for all later windows."""
        language = self._recognizer.language
        answers: list[RecognizedSpeech] = []
        words: list[Word] = []
        for shift, window in self._windows(sound):
            answer: RecognizedSpeech = self._asr.call("transcribe", window, language)
            if language is None and answer.words and answer.language_probability >= _SURE:
                language = answer.language
            words += [Word(shift + start, shift + end, text) for start, end, text in answer.words]
            answers.append(answer)
        if lost := sum(answer.lost_seconds for answer in answers):
            _log.info("%s: the recognizer fell into a loop in %.0f s of the sound", self._span.path.name, lost)
        if not (monotone := make_monotone(words, self._span.start, self._span.end)):
            return Transcript()
        guess = max(answers, key=lambda answer: answer.language_probability).language
        return Transcript(monotone, language or guess, f"asr:{ModelURI.parse(self._recognizer.model).name}")


def _overlap(voiced: Sequence[tuple[float, float]], words: Sequence[Word]) -> float:
    """Return the voiced seconds within `_MARGIN` of a word; both are in order of time and do not overlap."""
    covered: list[tuple[float, float]] = []
    for word in words:
        start, end = word.start - _MARGIN, word.end + _MARGIN
        if covered and start <= covered[-1][1]:
            start = covered.pop()[0]
        covered.append((start, end))
    seconds, v, c = 0.0, 0, 0
    while v < len(voiced) and c < len(covered):
        seconds += max(0.0, min(voiced[v][1], covered[c][1]) - max(voiced[v][0], covered[c][0]))
        if voiced[v][1] < covered[c][1]:
            v += 1
        else:
            c += 1
    return seconds
