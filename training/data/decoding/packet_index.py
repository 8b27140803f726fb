"""An index of the packets of a video file and the frames they contain; decoding is planned with it.

For stored roots (constant rate, no B-frames) the mp4 index suffices: packets are cut out of the bytes by its offsets,
and nothing is demuxed. Any other file (variable rate, B-frames, no index, unknown duration) is demuxed once, so that
frames have their own times and never estimated ones.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from runtime.untrusted_media import OPEN_OPTIONS, local_only, readable_packets
from shards.media.media_limits import DECODER_LIMITS
from training.data.clip_failure import ClipFailed
from training.data.decoding.frame_sampling import Timeline

_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
_KEYFRAME, _DISCARDED = 1, 2  # AVINDEX_KEYFRAME, AVINDEX_DISCARD_FRAME: flags of an index entry
_HELD_BYTES = 64 << 20  # packets of files up to this size stay in memory; those of larger files are read again


@dataclass(frozen=True)
class Video:
    """The packets of a video stream, and its frames in display order."""

    stream: Any
    timeline: Timeline
    stamps: NDArray[np.int64]
    """Time stamp of each frame, in the stream's units."""
    packet_of: NDArray[np.int64]
    """Number of the packet that contains each frame."""
    start_of: NDArray[np.int64]
    """Number of the packet at which decoding must begin, for each frame."""
    packets: Callable[[int, int], Iterator[Any]]
    """Returns the packets from one number up to another."""
    stated_end: float
    """End of the video according to the container, seconds; 0 if it states none."""
    stamped: bool = True
    """True if decoded frames carry these time stamps; otherwise frames are identified by counting."""
    in_one_go: bool = False
    """True if every read of packets starts at the beginning of the file: neighbouring frames are read in one pass."""


@contextmanager
def open_video(data: bytes | Path) -> Iterator[Video]:
    """Open a video and index its frames; decoding uses only the calling thread.

    Raises:
        ClipFailed: the data is not a video, or has no frame.
    """
    source = local_only(data) if isinstance(data, Path) else io.BytesIO(data)
    try:
        container = av.open(source, options=OPEN_OPTIONS, metadata_errors="replace")
    except FileNotFoundError as error:
        raise ClipFailed("missing", f"{data!s} can't be opened ({error.strerror})") from None
    except (av.FFmpegError, ValueError) as error:
        raise ClipFailed("undecodable", f"no video container that can be opened ({error})") from None
    with container:
        stream = video_stream(container)
        stream.codec_context.thread_count = 1
        stream.codec_context.options = dict(DECODER_LIMITS)
        indexed = None if isinstance(data, Path) else _by_index(data, container, stream)
        yield indexed or _by_packets(container, stream)


def video_stream(container: Any) -> Any:
    """Return the video stream of a container: not a cover picture; the default stream, otherwise the largest.

    Raises:
        ClipFailed: there is none.
    """
    streams = [s for s in container.streams.video if s.codec_context and not s.disposition & _NOT_THE_VIDEO]
    if not streams:
        raise ClipFailed("no_video", "no video stream that can be decoded here")
    return max(streams, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index))


def _by_index(data: bytes, container: Any, stream: Any) -> Video | None:
    """Take the packets from the mp4's index; return None if it does not give the display order, or data is missing."""
    if "mp4" not in container.format.name or stream.codec_context.has_b_frames:
        return None
    entries = list(stream.index_entries)
    if not entries or len(entries) != stream.frames or not entries[0].is_keyframe:
        return None
    stamps, places, sizes, flags = np.array([(e.timestamp, e.pos, e.size, e.flags) for e in entries], np.int64).T
    if np.any((sizes <= 0) | (sizes > len(data) - places) | (flags & _DISCARDED > 0)) or np.any(np.diff(stamps) <= 0):
        return None

    time_base = stream.time_base

    def packets(first: int, after: int) -> Iterator[Any]:
        for entry in entries[first:after]:
            packet = av.Packet(data[entry.pos : entry.pos + entry.size])
            packet.pts = packet.dts = entry.timestamp
            packet.time_base = time_base
            packet.is_keyframe = entry.is_keyframe  # PNG adds a frame without this mark to the one before
            yield packet

    numbers = np.arange(len(entries))
    starts = np.flatnonzero(flags & _KEYFRAME)
    start_of = starts[np.searchsorted(starts, numbers, side="right") - 1]
    timeline = Timeline.of(stamps * float(time_base), starts)
    return Video(
        stream=stream,
        timeline=timeline,
        stamps=stamps,
        packet_of=numbers,
        start_of=start_of,
        packets=packets,
        stated_end=timeline.end,
    )


class _Stamp(NamedTuple):
    """The facts of a packet that planning needs."""

    pts: int | None
    keyframe: bool
    shown: bool


def _by_packets(container: Any, stream: Any) -> Video:
    """Demux the file to get the time stamps of its packets."""
    held: list[Any] | None = [] if 0 < (container.size or 0) <= _HELD_BYTES else None
    stamps: list[_Stamp] = []
    for packet in readable_packets(container, stream):
        stamps.append(_Stamp(packet.pts, packet.is_keyframe, not packet.is_discard))
        if held is not None:
            held.append(packet)
    if not any(stamp.shown for stamp in stamps):
        raise ClipFailed("truncated" if stream.frames else "no_video", "no picture in the file")

    def packets(first: int, after: int) -> Iterator[Any]:
        if held is not None:
            yield from held[first:after]
            return
        container.seek(0)
        for number, packet in enumerate(readable_packets(container, stream)):
            if number >= after:
                return
            if number >= first:
                yield packet

    stated = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if any(stamp.pts is None for stamp in stamps):
        return _counted(stream, len(stamps), packets, stated)
    return replace(_ordered(stream, stamps, packets, stated), in_one_go=held is None)


def _ordered(
    stream: Any, stamps: Sequence[_Stamp], packets: Callable[[int, int], Iterator[Any]], stated: float
) -> Video:
    """Put frames into display order by their time stamps."""
    pts = np.array([stamp.pts for stamp in stamps], np.int64)
    starts = np.flatnonzero([stamp.keyframe for stamp in stamps])
    starts = starts if len(starts) else np.array([0])
    numbers = np.flatnonzero([stamp.shown for stamp in stamps])
    numbers = numbers[pts[numbers] >= pts[starts[0]]]  # frames before the first keyframe can't be decoded
    numbers = numbers[numbers >= starts[0]]
    if not len(numbers):
        raise ClipFailed("undecodable", "no picture that decoding can begin at")
    shown, at = np.unique(pts[numbers], return_index=True)
    packet_of = numbers[at]
    group = np.searchsorted(starts, packet_of, side="right") - 1
    leading = (pts[starts[group]] > shown) & (group > 0)  # refers to the group before the one that it is stored in
    start_of = starts[group - leading]
    timeline = Timeline.of(shown * float(stream.time_base), np.flatnonzero(np.isin(packet_of, starts)))
    return Video(
        stream=stream,
        timeline=timeline,
        stamps=shown,
        packet_of=packet_of,
        start_of=start_of,
        packets=packets,
        stated_end=stated,
    )


def _counted(stream: Any, count: int, packets: Callable[[int, int], Iterator[Any]], stated: float) -> Video:
    """Index frames without time stamps: they are assumed to be evenly spaced, and decoded from the first one on."""
    rate = float(stream.average_rate or stream.base_rate or 25)
    timeline = Timeline.even(count, rate, count)
    return Video(
        stream=stream,
        timeline=timeline,
        stamps=np.arange(count),
        packet_of=np.full(count, count - 1),
        start_of=np.zeros(count, np.int64),
        packets=packets,
        stated_end=stated,
        stamped=False,
    )
