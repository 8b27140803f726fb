"""Extract subtitle streams and audio streams from a video file with ffmpeg."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import ffmpeg

from curation.engines.models.speech_recognizer import SAMPLE_RATE
from curation.media.picture.video_records import AudioStream, SubtitleStream, VideoSpan
from curation.media.speech.sound_mixing import mix_file
from curation.media.speech.sound_windows import SoundFile
from curation.media.speech.stream_choice import is_speech_text
from curation.media.subtitles.subtitle_tracks import Track
from curation.media.subtitles.text_encoding import MAX_BYTES
from runtime.log import get_logger
from runtime.processes import ProcessFailed, ProcessTimeout, ffmpeg_binary, run
from runtime.retry_limits import AUDIO_GRACE
from runtime.untrusted_media import FFMPEG_MEMORY, ffmpeg_input_options, local_only


class _CaptionFormat(NamedTuple):
    """The format in which subtitles inside a container are extracted."""

    muxer: str
    """Name of ffmpeg's muxer."""
    track: str
    """Format of the extracted `Track`."""


_SRT, _VTT, _ASS = _CaptionFormat("srt", "srt"), _CaptionFormat("webvtt", "vtt"), _CaptionFormat("ass", "ass")
_TEXT_CODECS: Final = {"mov_text": _SRT, "subrip": _SRT, "text": _SRT, "webvtt": _VTT, "ass": _ASS, "ssa": _ASS}
_SEEK_MARGIN: Final = 10.0  # seconds; reading begins this much before a span
_log = get_logger(__name__)


def embedded_tracks(span: VideoSpan, folder: Path) -> dict[Track, SubtitleStream]:
    """Return a track for each text subtitle stream of the container that holds speech, marked as original first.

    `extract_captions` makes its file in `folder`.
    """
    return {
        Track(folder / f"inside_{stream.index}", stream.language, "manual", _TEXT_CODECS[stream.codec].track): stream
        for stream in sorted(span.probe.subtitles, key=lambda stream: "original" not in stream.marks)
        if stream.codec in _TEXT_CODECS and is_speech_text(stream)
    }


def extract_captions(span: VideoSpan, stream: SubtitleStream, target: Path) -> None:
    """Write a text subtitle stream of the container to a file; it ends where it is too large to be read.

    Raises:
        ProcessFailed, ProcessTimeout: ffmpeg can't extract it.
    """
    source = _ffmpeg_input(span)[str(stream.index)]
    output = ffmpeg.output(source, str(target), format=_TEXT_CODECS[stream.codec].muxer, fs=MAX_BYTES + 1)
    _run_ffmpeg(output, span)


def extract_sound(span: VideoSpan, stream: AudioStream, folder: Path) -> SoundFile | None:
    """Extract the span's sound as one channel to a file in `folder`; None if nothing can be decoded.

    Sample 0 is the span's start: a late start and gaps are filled with silence. This happens after mixing and
    resampling, because ffmpeg holds a gap's silence in memory.
    """
    target = folder / f"sound_{stream.index}"
    for mix in _mixes(stream):
        extracted = folder / f"sound_{stream.index}_{mix.channels}"
        try:
            _extract_mix(span, stream, mix, extracted)
        except (ProcessFailed, ProcessTimeout) as error:
            _log.info("the sound of %s can't be mixed by %s: %s", span.path.name, mix, error)
        if not extracted.exists() or not extracted.stat().st_size:
            continue
        if mix.channels == 1:
            extracted.replace(target)
        else:
            mix_file(extracted, target)
            extracted.unlink()
        return SoundFile(target) or None
    return None


class _Mix(NamedTuple):
    """A way to get one channel or two out of a sound stream."""

    channels: int
    pan: str | None
    """Weights of ffmpeg's filter `pan`; None: ffmpeg's own matrix for the layout."""


def _mixes(stream: AudioStream) -> list[_Mix]:
    """Return the ways to mix a stream, best first.

    ffmpeg has no matrix for ambisonic sound, whose first channel is the sound from everywhere, and for layouts without
    an order; channels beyond the ambisonic ones are an ordinary mono or stereo mix.
    """
    count = max(stream.channels, 1)
    if stream.layout.startswith("ambisonic"):
        spherical = math.isqrt(count) ** 2
        return [_Mix(1, _average([0, *range(spherical, count)]))]
    return [_Mix(min(count, 2), None), _Mix(1, _average(range(count)))]


def _average(channels: Iterable[int]) -> str:
    chosen = list(channels)
    return "mono|c0=" + "+".join(f"{1 / len(chosen):.6f}*c{channel}" for channel in chosen)


def _extract_mix(span: VideoSpan, stream: AudioStream, mix: _Mix, target: Path) -> None:
    seek = max(span.start - _SEEK_MARGIN, 0.0)
    audio = _ffmpeg_input(span, seek)[str(stream.index)]
    if mix.pan is not None:
        audio = audio.filter("pan", args=mix.pan)
    layout = "mono" if mix.channels == 1 else "stereo"
    audio = audio.filter("aresample", SAMPLE_RATE).filter("aformat", channel_layouts=layout, sample_fmts="s16")
    audio = audio.filter("aresample", **{"async": 1000, "first_pts": 0})
    audio = audio.filter("atrim", start=f"{span.start - seek:.6f}", duration=f"{span.seconds:.6f}")
    _run_ffmpeg(ffmpeg.output(audio, str(target), format="s16le", **{"c:a": "pcm_s16le"}), span)


def _ffmpeg_input(span: VideoSpan, seek: float = 0.0) -> Any:
    options = ffmpeg_input_options(span.probe.format)
    if seek > 0:
        options |= {"ss": f"{seek:.6f}", "noaccurate_seek": None}
    return ffmpeg.input(local_only(span.path), **options)


def _run_ffmpeg(output: Any, span: VideoSpan) -> None:
    general = ["-hide_banner", "-nostdin", "-nostats", "-v", "error", "-max_error_rate", "1"]
    args: list[str] = output.global_args(*general).compile(cmd=ffmpeg_binary(), overwrite_output=True)
    run(args, timeout=AUDIO_GRACE.seconds + span.probe.duration, memory=FFMPEG_MEMORY)
