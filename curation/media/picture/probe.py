"""Probe a video file: its duration, the video stream to use, audio and subtitle streams; or why it is not a video.

The first look at a file from outside: its content decides what it is, never its name. Whatever opens the file later
(ffmpeg, PyAV) is given the demuxer found here and may open local files only.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
from av.stream import Disposition

from curation.media.picture.interlacing import fields_of
from curation.media.picture.timestamps import (
    PacketTimes,
    is_variable_rate,
    stream_end,
    timestamp_faults,
    video_duration,
)
from curation.media.picture.video_file import open_unknown_file
from curation.media.picture.video_records import AudioStream, Probe, SubtitleStream, VideoStream
from curation.sources.ledger import SourceFailed
from runtime.picture.colour import ColourTags, colour_of
from runtime.picture.orientation import Orientation
from runtime.untrusted_media import readable_packets
from shards.media.media_limits import DECODER_LIMITS

_PACKETS_READ: Final = 600
_NOT_THE_VIDEO: Final = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails


def probe(path: Path, *, max_seconds_scan: float = 60.0) -> Probe:
    """Read a video file's headers and first packets, and decode its first frame.

    Args:
        path: a local file.
        max_seconds_scan: wall seconds to spend on reading all packets. They are read only if the container does not
            state its duration or can't know it.

    Raises:
        SourceFailed: ``not_video`` (empty, text, an image, a playlist, audio only), ``corrupt`` (a video container
            that can't be opened, or whose first packets can't be decoded).
    """
    with open_unknown_file(path) as container:
        stream = _choose_video(container)
        duration, jumped = video_duration(container, path, max_seconds_scan)
        start = _inspect_first_packets(container, stream, duration)
        faults = [
            *start.faults,
            *(["no_duration"] if container.duration is None else []),
            *(["jump"] if jumped else []),
        ]
        return Probe(
            duration=duration,
            start_time=(container.start_time or 0) / av.time_base,
            format=container.format.name.partition(",")[0],
            video=start.video,
            audio=tuple(_audio(s) for s in container.streams.audio if s.codec_context is not None),
            subtitles=tuple(_subtitle(s) for s in container.streams.subtitles if s.codec_context is not None),
            faults=tuple(dict.fromkeys(faults)),
        )


def _choose_video(container: Any) -> Any:
    """Return the default video stream, or the largest of several; cover art and thumbnails do not count."""
    streams = [s for s in container.streams.video if not s.disposition & _NOT_THE_VIDEO]
    if not streams:
        message = "the file has only audio" if container.streams.audio else "the file has no video stream"
        raise SourceFailed("not_video", message)
    known = [s for s in streams if s.codec_context is not None]
    if not known:
        raise SourceFailed("not_video", "no decoder is available for its video codec")
    return max(known, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index))


class _FirstPackets(NamedTuple):
    """Facts from the first packets."""

    video: VideoStream
    faults: tuple[str, ...]


def _inspect_first_packets(container: Any, stream: Any, duration: float) -> _FirstPackets:
    """Read the first packets and decode the first frame, for facts that headers do not state."""
    stream.codec_context.options = dict(DECODER_LIMITS)
    stream.codec_context.thread_count = 1  # one frame is decoded: threads would cost more than they save
    times: list[PacketTimes] = []
    frame = None
    for packet in islice(readable_packets(container, stream), _PACKETS_READ):
        if not packet.is_discard:
            times.append(PacketTimes(_seconds(packet.pts, packet.time_base), _seconds(packet.dts, packet.time_base)))
        frame = frame or _decode(packet)
    frame = frame or _flush_decoder(stream)
    if frame is None:
        raise SourceFailed("corrupt", f"none of the first {len(times)} video packets can be decoded")
    shown = [packet.shown for packet in times if packet.shown is not None]
    sar = stream.sample_aspect_ratio
    codec = stream.codec_context.codec.canonical_name
    return _FirstPackets(
        VideoStream(
            index=stream.index,
            codec=codec,
            width=frame.width,
            height=frame.height,
            orientation=Orientation.of_frame(frame),
            fps=float(stream.average_rate or stream.base_rate or 0),
            variable_rate=is_variable_rate(sorted(shown), float(stream.time_base)),
            frames=stream.frames or None,
            duration=stream_end(container, stream, duration),
            sar=float(sar) if sar else 1.0,
            colour=colour_of(ColourTags.of_frame(frame), frame.width, frame.height),
            fields=fields_of(
                codec, container.format.name, int(stream.codec_context.field_order), frame.interlaced_frame
            ),
        ),
        tuple(timestamp_faults(times)),
    )


def _seconds(ticks: int | None, time_base: Fraction) -> float | None:
    return None if ticks is None else float(ticks * time_base)


def _decode(packet: Any) -> Any | None:
    """Return the first frame of a packet, or None if it has none or can't be decoded."""
    try:
        return next(iter(packet.decode()), None)
    except av.FFmpegError:
        return None


def _flush_decoder(stream: Any) -> Any | None:
    """Return the first frame that the decoder still holds after the last packet."""
    try:
        return next(iter(stream.codec_context.decode(None)), None)
    except av.FFmpegError:
        return None


def _audio(stream: Any) -> AudioStream:
    context = stream.codec_context
    rate, channels = context.sample_rate or 0, context.channels or 0
    name = context.codec.canonical_name
    layout = context.layout.name if channels else ""
    return AudioStream(stream.index, name, _language(stream), rate, channels, layout, _marks(stream), _title(stream))


def _subtitle(stream: Any) -> SubtitleStream:
    name = stream.codec_context.codec.canonical_name
    return SubtitleStream(stream.index, name, _language(stream), _marks(stream), _title(stream))


def _marks(stream: Any) -> frozenset[str]:
    """Return the names of the stream's dispositions, as ffmpeg has them."""
    return frozenset(str(mark.name) for mark in Disposition if mark and stream.disposition & mark)


def _title(stream: Any) -> str:
    """Return the stream's title; MP4 keeps it as the name of the handler."""
    return str(stream.metadata.get("title") or stream.metadata.get("handler_name") or "")[:200]


def _language(stream: Any) -> str | None:
    """Return the language tag as the container has it, mostly ISO 639-2; None if it is empty or undetermined."""
    language: str | None = stream.language
    return None if language in (None, "", "und") else language
