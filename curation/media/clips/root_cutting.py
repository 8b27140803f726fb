"""Root clips out of the encoded video, by copy: one pass over its packets, nothing is encoded again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from curation.media.picture.encode import Encoded
from curation.media.picture.probe import open_video


@dataclass(frozen=True)
class Root:
    """A root clip's file: it begins with an IDR frame and decodes alone."""

    path: Path
    first_frame_time: float
    """Second of the video that its first frame shows: at or before the clip's start."""
    num_frames: int


@dataclass
class _Cut:
    """A root under construction: frames ``[first, stop)`` of the encoded video."""

    path: Path
    first: int
    stop: int
    output: Any = None
    streams: dict[int, Any] = field(default_factory=dict)


def cut_roots(encoded: Encoded, spans: Sequence[tuple[float, float]], folder: Path) -> list[Root]:
    """Cut spans (start and end in seconds of the video, in any order) out of the encoded video.

    Each file begins at the IDR frame nearest at or before its start and ends with the last frame before its end;
    its time stamps begin at 0. Spans may overlap.

    Args:
        encoded: the video.
        spans: what to cut; each must begin before the encoded video's end.
        folder: an existing folder that takes the files ``root_000000.mp4``, ….

    Returns:
        A root for each span, in the same order.
    """
    cuts = [_Cut(folder / f"root_{i:06d}.mp4", *_frames(encoded, *span)) for i, span in enumerate(spans)]
    if cuts:
        _copy(encoded, sorted(cuts, key=lambda cut: cut.first))
    return [Root(cut.path, encoded.start + cut.first / encoded.fps, cut.stop - cut.first) for cut in cuts]


def _frames(encoded: Encoded, start: float, end: float) -> tuple[int, int]:
    """First frame, and the frame after the last."""
    begin = max(0, encoded.frame_at(start))
    stop = min(encoded.num_frames, encoded.frame_from(end))
    if not begin < stop:
        raise ValueError(f"no frame from {start} to {end} s; the video has those of {encoded.start} to {encoded.end} s")
    return encoded.keyframes[bisect_right(encoded.keyframes, begin) - 1], stop


def _copy(encoded: Encoded, waiting: list[_Cut]) -> None:
    """Copy packets into all cuts; those that begin at the same place or overlap are open at once, no others."""
    opened: list[_Cut] = []
    try:
        with open_video(encoded.path, "mov") as source:
            reached = dict.fromkeys((stream.index for stream in source.streams), Fraction(-1))
            for packet, frame in _packets(source, encoded):
                reached[packet.stream_index] = frame
                while waiting and waiting[0].first <= frame:
                    opened.append(_open(waiting.pop(0), source))
                for cut in opened:
                    if cut.first <= frame < cut.stop:
                        _write(cut, packet, encoded)
                opened = _close_done(opened, min(reached.values()))
    finally:
        for cut in opened:
            cut.output.close()


def _packets(source: Any, encoded: Encoded) -> Iterator[tuple[Any, Fraction]]:
    """Packets with their place, counted in video frames."""
    for packet in source.demux():
        if packet.size:
            yield packet, packet.pts * packet.time_base * Fraction(encoded.fps)


def _open(cut: _Cut, source: Any) -> _Cut:
    cut.output = av.open(str(cut.path), "w", format="mp4", options={"movflags": "+faststart"})
    cut.streams = {stream.index: cut.output.add_stream_from_template(stream) for stream in source.streams}
    return cut


def _write(cut: _Cut, packet: Any, encoded: Encoded) -> None:
    copy = av.Packet(bytes(packet))
    shift = round(Fraction(cut.first) / Fraction(encoded.fps) / packet.time_base)
    copy.time_base = packet.time_base
    copy.pts, copy.dts = packet.pts - shift, packet.dts - shift
    copy.duration = packet.duration
    copy.is_keyframe = packet.is_keyframe
    copy.stream = cut.streams[packet.stream_index]
    cut.output.mux(copy)


def _close_done(opened: list[_Cut], reached: Fraction) -> list[_Cut]:
    """Close the cuts that no packet can come for any more; the rest."""
    for cut in opened:
        if cut.stop <= reached:
            cut.output.close()
    return [cut for cut in opened if cut.stop > reached]
