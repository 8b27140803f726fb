"""Cutting clips out of their root by copying packets: no frame is decoded or encoded again.

A copy can begin only at a keyframe: the last one at or before the clip. The returned numbers let a reader skip the
frames before the clip exactly. A root is read once for all of its clips.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

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


class _Packet(NamedTuple):
    """A packet with its times as they are in the root: writing it changes those of the packet itself."""

    packet: Any
    stream: int
    pts: int
    dts: int
    duration: int
    is_keyframe: bool


class OpenRoot:
    """A stored root, whose packets are read when the first clip is cut; use as a context manager, in one thread."""

    def __init__(self, data: bytes) -> None:
        """Take the bytes of a whole mp4 of constant frame rate."""
        self._data = data

    def __enter__(self) -> Self:
        """Read the root's index.

        Raises:
            ValueError: the root has no video or can't be read.
        """
        import av

        try:
            self._file = av.open(io.BytesIO(self._data), format="mp4")
        except av.FFmpegError as error:
            raise _unreadable(error) from None
        video, audio = self._file.streams.video[:1], self._file.streams.audio[:1]
        if not video:
            self._file.close()
            raise ValueError("the root has no video")
        self._streams = {stream.index: stream for stream in (*video, *audio)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def cut(self, start: float, end: float, fps: float) -> ClipFile:
        """Copy the span from `start` to `end`, sound included.

        Args:
            start: seconds from the root's first frame.
            end: seconds from the root's first frame.
            fps: frames per second of the root.

        Raises:
            ValueError: the root can't be read, or its packets can't be written.
        """
        import av

        try:
            if not self._video:
                raise ValueError("the root has no video")
            first, after = frames_between(start, end, fps, len(self._video))
            begin, stop = _packets_for(self._video, self._order, first, after)
            return ClipFile(self._mux(begin, stop), self._order.index(begin), stop - begin)
        except av.FFmpegError as error:
            raise _unreadable(error) from None

    @cached_property
    def _packets(self) -> list[_Packet]:
        return [_read(packet) for packet in self._file.demux(*self._streams.values()) if _has_times(packet)]

    @cached_property
    def _video(self) -> list[_Packet]:
        return [each for each in self._packets if self._streams[each.stream].type == "video"]

    @cached_property
    def _order(self) -> list[int]:
        """Positions of the video packets in display order."""
        return sorted(range(len(self._video)), key=lambda index: self._video[index].pts)

    def _mux(self, begin: int, stop: int) -> bytes:
        """Return the video packets from `begin` to `stop` (in file order) and the sound of that time as an mp4."""
        import av

        spans = self._spans(self._video[begin:stop])
        chosen = {id(each.packet) for each in self._video[begin:stop]}
        with tempfile.TemporaryDirectory(prefix="cut-") as scratch:
            path = Path(scratch) / "clip.mp4"  # a real file: moving the index to the front needs to read it back
            with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as target:
                target.flags |= av.container.Flags.bitexact.value
                streams = {index: target.add_stream_from_template(one) for index, one in self._streams.items()}
                for each in self._packets:
                    ticks, source = spans[each.stream], self._streams[each.stream]
                    if id(each.packet) in chosen or (source.type == "audio" and ticks.first <= each.pts < ticks.after):
                        packet = each.packet
                        packet.time_base, packet.duration = source.time_base, each.duration
                        packet.pts, packet.dts = each.pts - ticks.zero, each.dts - ticks.zero
                        packet.stream = streams[each.stream]
                        target.mux(packet)
            return path.read_bytes()

    def _spans(self, video: Sequence[_Packet]) -> dict[int, _Ticks]:
        """Return the time of some video packets in the ticks of each stream."""
        base = self._streams[video[0].stream].time_base
        zero = min(each.pts for each in video) * base
        end = max(each.pts + each.duration for each in video) * base
        return {index: _Ticks.of(zero, end, stream.time_base) for index, stream in self._streams.items()}


class _Ticks(NamedTuple):
    """A span of time in the ticks of one stream: integers, as a fraction for each packet would cost most of a cut."""

    zero: int
    """Shift of the stream's packets."""
    first: int
    """First tick of the span."""
    after: int
    """Tick after the last one."""

    @classmethod
    def of(cls, zero: Fraction, end: Fraction, time_base: Fraction) -> _Ticks:
        """Return the span from `zero` to `end` seconds."""
        return cls(round(zero / time_base), math.ceil(zero / time_base), math.ceil(end / time_base))


def _has_times(packet: Any) -> bool:
    return packet.dts is not None and packet.pts is not None


def _read(packet: Any) -> _Packet:
    return _Packet(packet, packet.stream_index, packet.pts, packet.dts, packet.duration or 0, bool(packet.is_keyframe))


def _unreadable(error: Any) -> ValueError:
    return ValueError(f"the root can't be read ({error.strerror})")


def _packets_for(video: Sequence[_Packet], order: Sequence[int], first: int, after: int) -> tuple[int, int]:
    """Return the range of packets (in file order) to copy for the frames `first` to `after` (in display order).

    If frames are stored out of order, whole groups of pictures are copied: a cut inside one would lose frames.
    """
    begin = max(index for index in range(order[first] + 1) if video[index].is_keyframe)
    if all(index == position for position, index in enumerate(order)):
        return begin, after
    needed = max(order[first:after]) + 1
    return begin, next((index for index in range(needed, len(video)) if video[index].is_keyframe), len(video))
