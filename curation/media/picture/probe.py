"""What is in a video file: duration, the picture to use, sound, subtitles; or why it is no video.

The first look at a file from outside, and therefore the one that decides by content, never by name, what it is.
Whatever opens the file later (ffmpeg, PyAV) is told the demuxer found here and may open local files only: a
playlist named ``.mp4`` can't make it read something else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import av
from av.stream import Disposition

from curation.sources.ledger import SourceFailed
from runtime.untrusted_media import MAX_PIXELS, OPEN_OPTIONS, local_only, readable_packets

_LOOK_PACKETS: Final = 600
_JUMP_SECONDS: Final = 10.0
# Containers whose stated duration is a guess from time stamps (which may jump) or from the bit rate.
_SCANNED: Final = frozenset({"mpegts", "mpeg"})
_NOT_THE_VIDEO: Final = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails


@dataclass(frozen=True)
class VideoStream:
    """The stream whose picture is used."""

    index: int
    codec: str
    width: int
    """Stored pixels, before rotation."""
    height: int
    rotation: int
    """Degrees counter-clockwise that a player turns the picture by: 0, 90, 180 or 270."""
    fps: float
    """Average frames a second; 0 where the container doesn't say."""
    variable_rate: bool
    """Whether the first frames are not evenly spaced."""
    frames: int | None
    """Number of frames, where the container says."""
    duration: float | None
    """Second of the video at which its picture ends, where the container says."""
    sar: float
    """Width of a pixel through its height; 1 where not stated."""

    @property
    def display_size(self) -> tuple[float, float]:
        """Width and height as a player shows it: square pixels, rotated."""
        width, height = self.width * self.sar, float(self.height)
        return (height, width) if self.rotation % 180 else (width, height)


@dataclass(frozen=True)
class AudioStream:
    """A sound track."""

    index: int
    codec: str
    language: str | None
    rate: int
    """Samples a second."""
    channels: int


@dataclass(frozen=True)
class SubtitleStream:
    """A subtitle track inside the container."""

    index: int
    codec: str
    language: str | None


@dataclass(frozen=True)
class Probe:
    """What a video file holds. Second 0 of the video is the container's `start_time`."""

    duration: float
    """Seconds from `start_time` to the end of the longest stream."""
    start_time: float
    """The earliest time stamp, seconds; what libavformat calls the start time."""
    format: str
    """Name of the demuxer, as ``ffmpeg -f`` takes it."""
    video: VideoStream
    audio: tuple[AudioStream, ...] = ()
    subtitles: tuple[SubtitleStream, ...] = ()
    faults: tuple[str, ...] = ()
    """What is wrong with the time stamps, as far as was looked: ``no_duration``, ``missing``, ``negative``,
    ``backwards``, ``jump``. None of them keeps a video from being used."""


def probe(path: Path, *, max_seconds_scan: float = 60.0) -> Probe:
    """Look into a video file.

    Args:
        path: a local file.
        max_seconds_scan: wall seconds to spend on reading all packets, which is done only where the
            container does not state its duration or can't know it.

    Raises:
        SourceFailed: ``not_video`` (empty, text, image, playlist, sound only), ``corrupt`` (a video's beginning,
            but it can't be opened, or nothing of it can be decoded).
    """
    with _opened(path) as container:
        stream = _choose_video(container)
        look = _look(container, stream)
        duration, jumped = _duration(container, path, max_seconds_scan)
        faults = [*look.faults, *(["no_duration"] if container.duration is None else []), *(["jump"] if jumped else [])]
        return Probe(
            duration=duration,
            start_time=(container.start_time or 0) / av.time_base,
            format=container.format.name.partition(",")[0],
            video=look.video,
            audio=tuple(_audio(s) for s in container.streams.audio if s.codec_context is not None),
            subtitles=tuple(_subtitle(s) for s in container.streams.subtitles if s.codec_context is not None),
            faults=tuple(dict.fromkeys(faults)),
        )


def open_video(path: Path, format_: str | None = None) -> Any:
    """Open a local file with PyAV under the white lists; `format_` forces a demuxer (`Probe.format`).

    Raises:
        av.FFmpegError: libav can't open it, or its format is not one of `runtime.untrusted_media.DEMUXERS`.
    """
    return av.open(local_only(path), format=format_, options=OPEN_OPTIONS, metadata_errors="replace")


def _opened(path: Path) -> Any:
    if path.stat().st_size == 0:
        raise SourceFailed("not_video", "the file is empty")
    try:
        return open_video(path)
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, av.PermissionError):
            raise
        kind = _container_by_first_bytes(path)
        if kind is None:
            raise SourceFailed("not_video", "the file is not a video container that is known here") from None
        raise SourceFailed("corrupt", f"a {kind} file that can't be opened: {_reason(error)}") from None


def _container_by_first_bytes(path: Path) -> str | None:
    """The container that the first bytes promise; libav, asked alone, believes the file's name."""
    with path.open("rb") as file:
        head = file.read(400)
    boxes = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp")
    signs = {
        "MP4": head[4:8] in boxes,
        "Matroska": head.startswith(b"\x1aE\xdf\xa3"),
        "AVI": head.startswith(b"RIFF") and head[8:12] == b"AVI ",
        "FLV": head.startswith(b"FLV\x01"),
        "ASF": head.startswith(bytes.fromhex("3026b2758e66cf11")),
        "MPEG": head.startswith((b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")),
        "MPEG-TS": len(head) > 376 and head[0] == head[188] == head[376] == 0x47,
        "Ogg": head.startswith(b"OggS"),
    }
    return next((kind for kind, found in signs.items() if found), None)


def _choose_video(container: Any) -> Any:
    """The default video stream, the largest of several; attached pictures are none."""
    streams = [s for s in container.streams.video if not s.disposition & _NOT_THE_VIDEO]
    if not streams:
        what = "only sound" if container.streams.audio else "no video stream"
        raise SourceFailed("not_video", f"there is {what} in the file")
    known = [s for s in streams if s.codec_context is not None]
    if not known:
        raise SourceFailed("not_video", "its video is in a format that can't be decoded here")
    return max(known, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index))


class _Times(NamedTuple):
    """A packet's time stamps, seconds."""

    shown: float | None
    decoded: float | None


class _Look(NamedTuple):
    video: VideoStream
    faults: tuple[str, ...]


def _look(container: Any, stream: Any) -> _Look:
    """Read the first packets and decode the first frame: what headers don't tell."""
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    times: list[_Times] = []
    frame = None
    for packet in islice(readable_packets(container, stream), _LOOK_PACKETS):
        if not packet.is_discard:
            times.append(_Times(_seconds(packet.pts, packet.time_base), _seconds(packet.dts, packet.time_base)))
        frame = frame or _decoded(packet)
    frame = frame or _flushed(stream)
    if frame is None:
        raise SourceFailed("corrupt", f"nothing of the first {len(times)} packets of its video can be decoded")
    shown = [packet.shown for packet in times if packet.shown is not None]
    sar = stream.sample_aspect_ratio
    return _Look(
        VideoStream(
            index=stream.index,
            codec=stream.codec_context.codec.canonical_name,
            width=frame.width,
            height=frame.height,
            rotation=round(frame.rotation / 90) * 90 % 360,
            fps=float(stream.average_rate or stream.base_rate or 0),
            variable_rate=_uneven(sorted(shown), float(stream.time_base)),
            frames=stream.frames or None,
            duration=_end(container, stream),
            sar=float(sar) if sar else 1.0,
        ),
        tuple(_faults(times)),
    )


def _seconds(ticks: int | None, time_base: Fraction) -> float | None:
    return None if ticks is None else float(ticks * time_base)


def _end(container: Any, stream: Any) -> float | None:
    """Where a stream ends, counted from the container's start."""
    if not stream.duration or container.format.name in _SCANNED:
        return None
    first = stream.start_time or 0
    return float((first + stream.duration) * stream.time_base) - (container.start_time or 0) / av.time_base


def _decoded(packet: Any) -> Any | None:
    try:
        return next(iter(packet.decode()), None)
    except av.FFmpegError:
        return None


def _flushed(stream: Any) -> Any | None:
    """The first frame a decoder still holds at the end."""
    try:
        return next(iter(stream.codec_context.decode(None)), None)
    except av.FFmpegError:
        return None


def _uneven(times: list[float], tick: float) -> bool:
    gaps = [after - before for before, after in pairwise(times)]
    if len(gaps) < 2:
        return False
    usual = median(gaps)
    return sum(abs(gap - usual) > max(1.5 * tick, 0.1 * usual) for gap in gaps) > 0.02 * len(gaps)


def _faults(times: list[_Times]) -> Iterator[str]:
    shown = [packet.shown for packet in times if packet.shown is not None]
    order = [packet.decoded for packet in times if packet.decoded is not None]
    if len(shown) < len(times):
        yield "missing"
    if shown and min(shown) < 0:
        yield "negative"
    steps = [after - before for before, after in pairwise(order)]
    if any(step < 0 for step in steps):
        yield "backwards"
    if any(abs(step) > _JUMP_SECONDS for step in steps):
        yield "jump"


def _duration(container: Any, path: Path, max_seconds: float) -> tuple[float, bool]:
    """Seconds of video, and whether time stamps jump (known only where all packets were read)."""
    name = container.format.name
    if container.duration is not None and container.duration > 0 and name not in _SCANNED:
        return container.duration / av.time_base, False
    return _scan(path, name.partition(",")[0], max_seconds)


def _scan(path: Path, format_: str, max_seconds: float) -> tuple[float, bool]:
    """The duration from all packets; jumps of the clock are left out, as ffmpeg's command line does."""
    deadline = time.monotonic() + max_seconds
    spans: dict[int, tuple[float, float]] = {}  # stream: seconds so far, time stamp last seen
    jumped = False
    with open_video(path, format_) as container:
        streams = [s for s in container.streams if s.type in ("video", "audio")]
        for packet in readable_packets(container, *streams):
            if time.monotonic() > deadline:
                raise SourceFailed("corrupt", f"no duration is stated, and none found in {max_seconds:.0f} s")
            length = float((packet.duration or 0) * packet.time_base)
            if packet.dts is None:
                continue
            at = float(packet.dts * packet.time_base)
            so_far, last = spans.get(packet.stream_index, (0.0, at))
            jump = abs(at - last) > _JUMP_SECONDS
            jumped = jumped or jump
            spans[packet.stream_index] = (so_far + (length if jump else max(at - last, 0.0)), at)
    seconds = max((so_far for so_far, _ in spans.values()), default=0.0)
    return seconds, jumped


def _audio(stream: Any) -> AudioStream:
    context = stream.codec_context
    rate, channels = context.sample_rate or 0, context.channels or 0
    return AudioStream(stream.index, context.codec.canonical_name, _language(stream), rate, channels)


def _subtitle(stream: Any) -> SubtitleStream:
    return SubtitleStream(stream.index, stream.codec_context.codec.canonical_name, _language(stream))


def _language(stream: Any) -> str | None:
    """The tag as the container has it, mostly ISO 639-2; "undetermined" is no language."""
    language: str | None = stream.language
    return None if language in (None, "", "und") else language


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
