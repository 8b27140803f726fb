"""Extract subtitle streams and audio streams from a video file with ffmpeg."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import ffmpeg

from curation.engines.speech_recognizer import SAMPLE_RATE
from curation.media.picture.video_records import AudioStream, SubtitleStream, VideoSpan
from curation.media.speech.sound_windows import SoundFile
from curation.media.speech.subtitle_tracks import Track
from runtime.log import get_logger
from runtime.processes import ProcessFailed, ProcessTimeout, ffmpeg_binary, run
from runtime.retry_limits import AUDIO_GRACE
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
_log = get_logger(__name__)


def embedded_tracks(span: VideoSpan, folder: Path) -> dict[Track, SubtitleStream]:
    """Return a track for each text subtitle stream of the container; `extract_captions` makes its file in `folder`."""
    return {
        Track(folder / f"inside_{stream.index}", stream.language, "manual", _TEXT_CODECS[stream.codec].track): stream
        for stream in span.probe.subtitles
        if stream.codec in _TEXT_CODECS
    }


def extract_captions(span: VideoSpan, stream: SubtitleStream, target: Path) -> None:
    """Write a text subtitle stream of the container to a file.

    Raises:
        ProcessFailed, ProcessTimeout: ffmpeg can't extract it.
    """
    source = _ffmpeg_input(span)[str(stream.index)]
    _run_ffmpeg(ffmpeg.output(source, str(target), format=_TEXT_CODECS[stream.codec].muxer), span)


def extract_sound(span: VideoSpan, stream: AudioStream, folder: Path) -> SoundFile | None:
    """Extract the span's sound to a file in `folder`; None if nothing can be decoded.

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
