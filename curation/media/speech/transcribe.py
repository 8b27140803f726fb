"""Transcribe a video: from the site's subtitles, otherwise from subtitles inside the file, otherwise from its sound.

    site subtitles ──▶ subtitles in the container ──▶ sound in windows ──▶ recognizer pool ──▶ Transcript

Sound is extracted once to a file in scratch and read in windows of at most ten minutes, so that memory does not grow
with a video's length. Broken subtitles or sound never fail a video: the next source of words is tried.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import ffmpeg

from curation.engines.engine_interface import RecognizedSpeech
from curation.engines.speech_recognizer import SAMPLE_RATE, AsrSettings
from curation.media.picture.video_records import AudioStream, SubtitleStream, VideoSpan
from curation.media.speech.cues import SubtitleError
from curation.media.speech.sound_windows import SoundFile, split_sound
from curation.media.speech.subtitle_reading import read_track
from curation.media.speech.subtitle_tracks import Track, choose_track
from curation.media.speech.transcribe_settings import TranscribeSettings
from curation.media.speech.transcript import Transcript, Word
from curation.media.speech.word_times import make_monotone
from runtime.failures import AUDIO_GRACE
from runtime.log import get_logger
from runtime.models.model_uri import ModelURI
from runtime.processes import ProcessFailed, ProcessTimeout, ffmpeg_binary, run
from runtime.ray_runner.stage import Service
from runtime.untrusted_media import local_only


class _CaptionFormat(NamedTuple):
    """The format in which subtitles inside a container are extracted."""

    muxer: str
    """Name of ffmpeg's muxer."""
    track: str
    """Format of the extracted `Track`."""


_SRT, _VTT, _ASS = _CaptionFormat("srt", "srt"), _CaptionFormat("webvtt", "vtt"), _CaptionFormat("ass", "ass")
_TEXT_CODECS: Final = {"mov_text": _SRT, "subrip": _SRT, "text": _SRT, "webvtt": _VTT, "ass": _ASS, "ssa": _ASS}
_SEEK_MARGIN: Final = 10.0  # seconds; reading begins this much before a span
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
            sound = _extract_sound(span, stream, Path(folder))
            if sound is not None:
                return _recognize(sound, span, settings, settings.asr, asr)
    return Transcript()


def _read_subtitles(
    span: VideoSpan, tracks: Sequence[Track], languages: Sequence[str], folder: Path
) -> Transcript | None:
    """Return the first subtitles that can be read and have words in the span: the site's, then the container's."""
    embedded = {
        folder / f"inside_{stream.index}": stream for stream in span.probe.subtitles if stream.codec in _TEXT_CODECS
    }
    embedded_tracks = [
        Track(file, stream.language, "manual", _TEXT_CODECS[stream.codec].track) for file, stream in embedded.items()
    ]
    for track in (*_rank(tracks, languages), *_rank(embedded_tracks, languages)):
        try:
            if track.path in embedded:
                _extract_captions(span, embedded[track.path], track.path)
            transcript = read_track(track, span.probe.duration)
        except (SubtitleError, ProcessFailed, ProcessTimeout, FileNotFoundError) as error:
            _log.info("subtitles %s can't be used: %s", track.path.name, error)
            continue
        if words := make_monotone(transcript.words, span.start, span.end):
            return replace(transcript, words=words)
    return None


def _rank(tracks: Sequence[Track], languages: Sequence[str]) -> Iterator[Track]:
    """Yield the usable tracks from best to worst."""
    left = list(tracks)
    while (best := choose_track(left, languages)) is not None:
        yield best
        left.remove(best)


def _extract_captions(span: VideoSpan, stream: SubtitleStream, target: Path) -> None:
    source = _ffmpeg_input(span)[str(stream.index)]
    _run_ffmpeg(ffmpeg.output(source, str(target), format=_TEXT_CODECS[stream.codec].muxer), span)


def _extract_sound(span: VideoSpan, stream: AudioStream, folder: Path) -> SoundFile | None:
    """Extract the span's sound to a file; None if nothing can be decoded.

    Sample 0 is the span's start: a late start and gaps are filled with silence. This happens after mixing and
    resampling, because ffmpeg holds a gap's silence in memory.
    """
    seek = max(span.start - _SEEK_MARGIN, 0.0)
    target = folder / f"sound_{stream.index}"
    audio = _ffmpeg_input(span, seek)[str(stream.index)]
    audio = audio.filter("aresample", SAMPLE_RATE).filter("aformat", channel_layouts="mono", sample_fmts="s16")
    audio = audio.filter("aresample", **{"async": 1000, "first_pts": 0})
    audio = audio.filter("atrim", start=f"{span.start - seek:.6f}", duration=f"{span.seconds:.6f}")
    try:
        _run_ffmpeg(ffmpeg.output(audio, str(target), format="s16le", **{"c:a": "pcm_s16le"}), span)
    except (ProcessFailed, ProcessTimeout) as error:
        _log.info("the sound of %s can't be decoded: %s", span.path.name, error)
    sound = SoundFile(target) if target.exists() else None
    return sound or None


def _ffmpeg_input(span: VideoSpan, seek: float = 0.0) -> Any:
    options: dict[str, Any] = {"format": span.probe.format, "protocol_whitelist": "file,pipe"}
    if seek > 0:
        options |= {"ss": f"{seek:.6f}", "noaccurate_seek": None}
    return ffmpeg.input(local_only(span.path), **options)


def _run_ffmpeg(output: Any, span: VideoSpan) -> None:
    general = ["-hide_banner", "-nostdin", "-nostats", "-v", "error", "-max_error_rate", "1"]
    args: list[str] = output.global_args(*general).compile(cmd=ffmpeg_binary(), overwrite_output=True)
    run(args, timeout=AUDIO_GRACE.seconds + span.probe.duration)


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
