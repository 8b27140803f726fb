"""Cut root clips out of the encoded video by copying its packets in one pass; nothing is encoded again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from curation.media.picture.encoded_video import EncodedVideo
from curation.media.picture.video_file import open_video


@dataclass(frozen=True)
class RootFile:
    """A root clip's file: it begins with an IDR frame and can be decoded by itself."""

    path: Path
    first_frame_time: float
    """Second of the video that its first frame shows: at or before the clip's start."""
    num_frames: int


@dataclass
class _RootSpan:
    """A root that is being written: frames ``[first, stop)`` of the encoded video."""

    path: Path
    first: int
    stop: int
    output: Any = None
    streams: dict[int, Any] = field(default_factory=dict)


def cut_roots(encoded: EncodedVideo, spans: Sequence[tuple[float, float]], folder: Path) -> list[RootFile]:
    """Cut spans (start and end in seconds of the video, in any order) out of the encoded video.

    Each file begins at the nearest IDR frame at or before the start and ends with the last frame before the end; its
    time stamps begin at 0. Spans may overlap.

    Args:
        encoded: the video.
        spans: the spans to cut; each must begin before the encoded video's end.
        folder: an existing folder, into which the files ``root_000000.mp4``, … are written.

    Returns:
        One file for each span, in the same order.
    """
    roots = [_RootSpan(folder / f"root_{i:06d}.mp4", *_frame_range(encoded, *span)) for i, span in enumerate(spans)]
    if roots:
        _copy_packets(encoded, sorted(roots, key=lambda root: root.first))
    return [RootFile(root.path, encoded.start + root.first / encoded.fps, root.stop - root.first) for root in roots]


def _frame_range(encoded: EncodedVideo, start: float, end: float) -> tuple[int, int]:
    """Return the first frame, and the frame after the last."""
    begin = max(0, encoded.frame_at(start))
    stop = min(encoded.num_frames, encoded.frame_from(end))
    if not begin < stop:
        raise ValueError(
            f"no frame from {start} to {end} s; the video has frames from {encoded.start} to {encoded.end} s"
        )
    return encoded.idr_frames[bisect_right(encoded.idr_frames, begin) - 1], stop


def _copy_packets(encoded: EncodedVideo, waiting: list[_RootSpan]) -> None:
    """Copy packets into all roots; only roots that contain the current packet are open at the same time."""
    opened: list[_RootSpan] = []
    try:
        with open_video(encoded.path, "mov") as source:
            reached = dict.fromkeys((stream.index for stream in source.streams), Fraction(-1))
            for packet, frame in _packets(source, encoded):
                reached[packet.stream_index] = frame
                while waiting and waiting[0].first <= frame:
                    opened.append(_open(waiting.pop(0), source))
                for root in opened:
                    if root.first <= frame < root.stop:
                        _write(root, packet, encoded)
                opened = _close_finished(opened, min(reached.values()))
    finally:
        for root in opened:
            root.output.close()


def _packets(source: Any, encoded: EncodedVideo) -> Iterator[tuple[Any, Fraction]]:
    """Yield each packet with its time, counted in video frames."""
    for packet in source.demux():
        if packet.size:
            yield packet, packet.pts * packet.time_base * Fraction(encoded.fps)


def _open(root: _RootSpan, source: Any) -> _RootSpan:
    root.output = av.open(str(root.path), "w", format="mp4", options={"movflags": "+faststart"})
    root.streams = {stream.index: root.output.add_stream_from_template(stream) for stream in source.streams}
    return root


def _write(root: _RootSpan, packet: Any, encoded: EncodedVideo) -> None:
    """Copy a packet into a root's file, its time stamps shifted to the root's first frame."""
    copy = av.Packet(bytes(packet))
    shift = round(Fraction(root.first) / Fraction(encoded.fps) / packet.time_base)
    copy.time_base = packet.time_base
    copy.pts, copy.dts = packet.pts - shift, packet.dts - shift
    copy.duration = packet.duration
    copy.is_keyframe = packet.is_keyframe
    copy.stream = root.streams[packet.stream_index]
    root.output.mux(copy)


def _close_finished(opened: list[_RootSpan], reached: Fraction) -> list[_RootSpan]:
    """Close the roots that end at or before frame `reached`; return the others."""
    for root in opened:
        if root.stop <= reached:
            root.output.close()
    return [root for root in opened if root.stop > reached]
