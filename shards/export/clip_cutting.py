"""Cutting one clip out of its root by copying packets: no frame is decoded or encoded again.

A copy can begin only at a keyframe: the last one at or before the clip. The returned numbers let a reader skip the
frames before the clip exactly.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROUNDING = 1e-4  # of a frame: a cut time that falls on a frame means that frame


@dataclass(frozen=True)
class ClipFile:
    """A clip as a separate file."""

    data: bytes
    """An mp4."""
    first_frame: int
    """Number, in the root, of the file's first frame."""
    num_frames: int
    """Frames in the file."""


def frames_between(start: float, end: float, fps: float, num_frames: int) -> tuple[int, int]:
    """Return the frames shown from `start` to `end` seconds: number of the first, and of the one after the last.

    The first is the frame on the screen at `start`: the nearest at or before it. There is always at least one.
    """
    first = min(max(math.floor(start * fps + _ROUNDING), 0), num_frames - 1)
    after = min(max(math.ceil(end * fps - _ROUNDING), first + 1), num_frames)
    return first, after


def cut_clip(root: bytes, start: float, end: float, fps: float) -> ClipFile:
    """Copy the span from `start` to `end` out of a stored root, sound included.

    Args:
        root: a whole mp4 of constant frame rate.
        start: seconds from the root's first frame.
        end: seconds from the root's first frame.
        fps: frames per second of the root.

    Raises:
        ValueError: the root has no video or can't be read.
    """
    import av

    try:
        with av.open(io.BytesIO(root), format="mp4") as source:
            packets = [packet for packet in source.demux() if packet.dts is not None and packet.pts is not None]
            video = [packet for packet in packets if packet.stream.type == "video"]
            if not video:
                raise ValueError("the root has no video")
            order = sorted(range(len(video)), key=lambda index: video[index].pts)
            first, after = frames_between(start, end, fps, len(video))
            begin, stop = _packets_for(video, order, first, after)
            return ClipFile(_mux(source, packets, video, begin, stop), order.index(begin), stop - begin)
    except av.FFmpegError as error:
        raise ValueError(f"the root can't be read ({error.strerror})") from None


def _packets_for(video: Sequence[Any], order: Sequence[int], first: int, after: int) -> tuple[int, int]:
    """Return the range of packets (in file order) to copy for the frames `first` to `after` (in display order).

    If frames are stored out of order, whole groups of pictures are copied: a cut inside one would lose frames.
    """
    begin = max(index for index in range(order[first] + 1) if video[index].is_keyframe)
    if all(index == position for position, index in enumerate(order)):
        return begin, after
    needed = max(order[first:after]) + 1
    return begin, next((index for index in range(needed, len(video)) if video[index].is_keyframe), len(video))


def _mux(source: Any, packets: Sequence[Any], video: Sequence[Any], begin: int, stop: int) -> bytes:
    import av

    chosen = {id(packet) for packet in video[begin:stop]}
    zero = float(min(packet.pts * packet.time_base for packet in video[begin:stop]))
    end = float(max((packet.pts + (packet.duration or 0)) * packet.time_base for packet in video[begin:stop]))
    with tempfile.TemporaryDirectory(prefix="cut-") as scratch:
        path = Path(scratch) / "clip.mp4"  # a real file: moving the index to the front needs to read it back
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as target:
            target.flags |= av.container.Flags.bitexact.value
            streams = {stream.index: target.add_stream_from_template(stream) for stream in _wanted(source)}
            for packet in packets:
                time = float(packet.pts * packet.time_base)
                is_video = packet.stream.type == "video"
                if packet.stream.index in streams and (id(packet) in chosen if is_video else zero <= time < end):
                    _shift(packet, zero)
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)
        return path.read_bytes()


def _wanted(source: Any) -> list[Any]:
    return [*source.streams.video[:1], *source.streams.audio[:1]]


def _shift(packet: Any, seconds: float) -> None:
    ticks = round(seconds / float(packet.time_base))
    packet.pts -= ticks
    packet.dts -= ticks
