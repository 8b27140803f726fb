"""Words of a video: from the site's subtitles, else from captions inside the file, else from its sound.

    site tracks ──▶ captions in the container ──▶ sound in windows ──▶ recogniser pool ──▶ Transcript

Sound is extracted once to a file in scratch and read in windows of at most ten minutes, so that memory does not
grow with a video's length. Broken subtitles or sound never fail a video: the next best is taken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import ffmpeg
import numpy as np
from pydantic import Field

from curation.engines.engine_interface import Heard
from curation.engines.punctuator import PunctuationSettings
from curation.engines.speech_recognizer import SAMPLE_RATE, AsrSettings
from curation.media.picture.probe import AudioStream, Probe, SubtitleStream
from curation.media.speech.sentences import monotone
from curation.media.speech.subtitle_tracks import SubtitleError, Track, choose_track, read_track
from curation.media.speech.transcript import Transcript, Word
from runtime.log import get_logger
from runtime.models.model_uri import ModelURI
from runtime.processes import ProcessFailed, ProcessTimeout, ffmpeg_binary, run
from runtime.ray_runner.stage import Service
from runtime.settings import Settings
from runtime.untrusted_media import local_only


class _Format(NamedTuple):
    """How captions inside a container are written out."""

    muxer: str
    track: str


Sound = np.ndarray[Any, np.dtype[np.int16]]

_SRT, _VTT, _ASS = _Format("srt", "srt"), _Format("webvtt", "vtt"), _Format("ass", "ass")
_TEXT_CODECS: Final = {"mov_text": _SRT, "subrip": _SRT, "text": _SRT, "webvtt": _VTT, "ass": _ASS, "ssa": _ASS}
_SEEK_MARGIN: Final = 10.0  # seconds that reading begins before a span
_PATIENCE: Final = 120.0  # seconds that ffmpeg is given beyond the video's length
_HOP: Final = SAMPLE_RATE // 10  # loudness is measured over tenths of a second
_SMOOTH: Final = 5  # and over half a second a cut must be quiet
_SURE: Final = 0.5  # probability from which a detected language holds for the rest of the video
_log = get_logger(__name__)


class TranscribeSettings(Settings):
    """Where words come from."""

    languages: tuple[str, ...] = ()
    """Tags of subtitles to prefer, best first; empty: any."""
    subtitles: Literal["prefer", "never"] = "prefer"
    """Whether subtitles of the site or inside the file are used before speech recognition."""
    asr: AsrSettings | None = AsrSettings()
    """Speech recognition for videos without usable subtitles; none: such videos have no words."""
    window_seconds: float = Field(default=600.0, ge=30, le=600)
    """Longest stretch of sound that the recogniser is given at once."""
    punctuation: PunctuationSettings | None = None
    """Model that restores punctuation where the words have none; none: pauses decide where sentences end."""


def transcribe(
    path: Path,
    probe: Probe,
    tracks: Sequence[Track],
    span: tuple[float, float],
    settings: TranscribeSettings,
    asr: Service | None,
    scratch: Path,
) -> Transcript:
    """The words said in a span of a video.

    Args:
        path: the video, a local file.
        probe: what is in it.
        tracks: subtitle files that came with it.
        span: start and end in seconds of the video; only words that touch it are returned.
        settings: see `TranscribeSettings`.
        asr: pool of `curation.engines.speech_recognizer.Recognizer`; None where recognition is not wanted.
        scratch: folder for large temporary files (two bytes a sample: 115 MB an hour of sound), removed again here.

    Returns:
        Monotone words; origin `none` without words where there is nothing to read or to hear.

    Raises:
        MachineError: the machine is at fault (disk full, recogniser dead), never the data.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="words_") as folder:
        if settings.subtitles == "prefer":
            written = _read_first(path, probe, tracks, span, settings.languages, Path(folder))
            if written is not None:
                return written
        if settings.asr is None or asr is None:
            return Transcript()
        for stream in probe.audio:
            sound = _extract_sound(path, probe, stream, span, Path(folder))
            if sound is not None:
                return _hear(sound, span, settings, settings.asr, asr)
    return Transcript()


class SoundFile:
    """Mono 16-bit samples at 16 kHz in a file, sliced like an array.

    Not a memory map: the pages of one stay with the process, and an hour of sound has 115 MB of them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = path.stat().st_size // 2

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, span: slice) -> Sound:
        first, last, _ = span.indices(self._count)
        return np.fromfile(self._path, dtype=np.int16, count=max(last - first, 0), offset=2 * first)


def windows(sound: Sound | SoundFile, limit: int) -> Iterator[tuple[int, int]]:
    """Cut sound into stretches of at most `limit` samples, each ended at the quietest moment of its last minute.

    Args:
        sound: mono samples at 16 kHz; of a file only the minutes before cuts are read.
        limit: samples, more than a second of them.

    Yields:
        First and last sample (exclusive) of each stretch; they tile the sound.
    """
    start = 0
    while len(sound) - start > limit:
        first = start + limit - min(60 * SAMPLE_RATE, limit // 2)
        cut = first + _quietest(sound[first : start + limit])
        yield start, cut
        start = cut
    if start < len(sound):
        yield start, len(sound)


def _read_first(
    path: Path, probe: Probe, tracks: Sequence[Track], span: tuple[float, float], languages: Sequence[str], folder: Path
) -> Transcript | None:
    """The first subtitles that can be read and have words in the span: the site's, then those in the container."""
    inside = {folder / f"inside_{stream.index}": stream for stream in probe.subtitles if stream.codec in _TEXT_CODECS}
    embedded = [
        Track(file, stream.language, "manual", _TEXT_CODECS[stream.codec].track) for file, stream in inside.items()
    ]
    for track in (*_ranked(tracks, languages), *_ranked(embedded, languages)):
        try:
            if track.path in inside:
                _extract_captions(path, probe, inside[track.path], track.path)
            transcript = read_track(track, probe.duration)
        except (SubtitleError, ProcessFailed, ProcessTimeout, FileNotFoundError) as error:
            _log.info("subtitles %s can't be used: %s", track.path.name, error)
            continue
        if words := monotone(transcript.words, *span):
            return replace(transcript, words=words)
    return None


def _ranked(tracks: Sequence[Track], languages: Sequence[str]) -> Iterator[Track]:
    """The tracks from best to worst, as far as they may be used at all."""
    left = list(tracks)
    while (best := choose_track(left, languages)) is not None:
        yield best
        left.remove(best)


def _extract_captions(path: Path, probe: Probe, stream: SubtitleStream, target: Path) -> None:
    source = _input(path, probe)[str(stream.index)]
    _ffmpeg(ffmpeg.output(source, str(target), format=_TEXT_CODECS[stream.codec].muxer), probe)


def _extract_sound(
    path: Path, probe: Probe, stream: AudioStream, span: tuple[float, float], folder: Path
) -> SoundFile | None:
    """The span's sound in a file; None where nothing can be decoded.

    Sample 0 is the span's start: sound that begins later, and gaps, are filled with silence. That happens after
    mixing and resampling, because ffmpeg holds a gap's silence in memory.
    """
    start, end = span
    seek = max(start - _SEEK_MARGIN, 0.0)
    target = folder / f"sound_{stream.index}"
    audio = _input(path, probe, seek)[str(stream.index)]
    audio = audio.filter("aresample", SAMPLE_RATE).filter("aformat", channel_layouts="mono", sample_fmts="s16")
    audio = audio.filter("aresample", **{"async": 1000, "first_pts": 0})
    audio = audio.filter("atrim", start=f"{start - seek:.6f}", duration=f"{end - start:.6f}")
    try:
        _ffmpeg(ffmpeg.output(audio, str(target), format="s16le", **{"c:a": "pcm_s16le"}), probe)
    except (ProcessFailed, ProcessTimeout) as error:
        _log.info("sound of %s: %s", path.name, error)
    sound = SoundFile(target) if target.exists() else None
    return sound or None


def _input(path: Path, probe: Probe, seek: float = 0.0) -> Any:
    options: dict[str, Any] = {"format": probe.format, "protocol_whitelist": "file,pipe"}
    if seek > 0:
        options |= {"ss": f"{seek:.6f}", "noaccurate_seek": None}
    return ffmpeg.input(local_only(path), **options)


def _ffmpeg(output: Any, probe: Probe) -> None:
    general = ["-hide_banner", "-nostdin", "-nostats", "-v", "error", "-max_error_rate", "1"]
    args: list[str] = output.global_args(*general).compile(cmd=ffmpeg_binary(), overwrite_output=True)
    run(args, timeout=_PATIENCE + probe.duration)


def _hear(
    sound: SoundFile, span: tuple[float, float], settings: TranscribeSettings, recogniser: AsrSettings, asr: Service
) -> Transcript:
    """Words of a span's sound, window by window; the first language that is sure holds for the rest."""
    language = recogniser.language
    heard: list[Heard] = []
    words: list[Word] = []
    for first, last in windows(sound, round(settings.window_seconds * SAMPLE_RATE)):
        window = sound[first:last]
        if not window.any():
            continue
        answer: Heard = asr.call("transcribe", window, language)
        if language is None and answer.words and answer.language_probability >= _SURE:
            language = answer.language
        shift = span[0] + first / SAMPLE_RATE
        words += [Word(shift + start, shift + end, text) for start, end, text in answer.words]
        heard.append(answer)
    if not (spoken := monotone(words, *span)):
        return Transcript()
    guess = max(heard, key=lambda answer: answer.language_probability).language
    return Transcript(spoken, language or guess, f"asr:{ModelURI.parse(recogniser.model).name}")


def _quietest(sound: Sound) -> int:
    """The middle of the quietest half second, in samples."""
    frames = sound[: len(sound) // _HOP * _HOP].reshape(-1, _HOP).astype(np.float32)
    energy = np.convolve((frames**2).mean(axis=1), np.ones(_SMOOTH), mode="valid")
    return int((np.argmin(energy) + _SMOOTH / 2) * _HOP)
