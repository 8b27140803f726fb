"""Decodes the frames of clips from the bytes of a video with PyAV: one open container, one thread.

`training.data.decoding.frame_sampling` chooses the frames of a clip, `training.data.decoding.packet_index` the packets
of a frame; no other packet is decoded. Frames are uint8 RGB, H x W x 3, as a player shows them: square pixels,
turned and mirrored, in the colours that are meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from runtime.errors import is_machine_fault, one_line
from runtime.picture.colour import Colour, ColourTags, colour_of
from runtime.picture.orientation import Orientation
from runtime.untrusted_media import MAX_PIXELS
from training.data.clip_failure import ClipFailed
from training.data.decoding.frame_sampling import Frame, frames_of_clip
from training.data.decoding.packet_index import Video, open_video
from training.data.decoding.standard_colours import standard_picture

Moments = NDArray[np.float64] | None
"""Moments of the frames in their segments, as of `frames_of_clip`."""

_MISSING_SECONDS = 1.0  # a video may lack this much at its end before it counts as truncated


def decode_clips(
    data: bytes | Path, spans: Sequence[tuple[float, float]], frames: int, *, size: int | None = None, snap: bool = True
) -> list[Frame]:
    """Decode `frames` evenly spaced frames of each span of a video.

    Args:
        data: the video's bytes, or a local file.
        spans: start and end in seconds from the first frame, clipped to the video; `math.inf` is its end.
        frames: frames per clip; repeated if a span has fewer.
        size: short side to scale to, pixels; None: as stored.
        snap: take keyframes if every segment of a clip has one: much faster, at most half a segment off.

    Returns:
        uint8 RGB [frames, H, W, 3] for each span.

    Raises:
        ClipFailed: the video or one of the spans can't be used.
    """
    clips: list[Frame] = []
    for clip in decode_spans(data, spans, frames, size=size, snap=snap):
        if isinstance(clip, ClipFailed):
            raise clip
        clips.append(np.stack(clip))
    return clips


def decode_spans(
    data: bytes | Path,
    spans: Sequence[tuple[float, float]],
    frames: int | Sequence[int],
    *,
    size: int | None = None,
    snap: bool = True,
    moments: Sequence[Moments] | None = None,
) -> list[list[Frame] | ClipFailed]:
    """Decode like `decode_clips`, but return a failed span as a value, and a frame that spans share as one array.

    Args:
        data: as of `decode_clips`.
        spans: as of `decode_clips`.
        frames: as of `decode_clips`, or one number for each span.
        size: as of `decode_clips`.
        snap: as of `decode_clips`.
        moments: of each span, as of `frames_of_clip`; None: the middles of the segments.

    Raises:
        ClipFailed: the whole video can't be used.
    """
    with damage_as_clip_failure(), open_video(data) as video:
        at = moments or [None] * len(spans)
        counts = [frames] * len(spans) if isinstance(frames, int) else frames
        chosen = [_choose(video, *span, count, snap, own) for span, count, own in zip(spans, counts, at, strict=True)]
        wanted = sorted({int(number) for clip in chosen if not isinstance(clip, ClipFailed) for number in clip})
        decoded = dict(_decode(video, wanted, size))
    return [clip if isinstance(clip, ClipFailed) else _collect(decoded, clip) for clip in chosen]


def stream_span(
    video: Video, start: float, end: float, frames: int, *, size: int | None = None, snap: bool = True
) -> Iterator[Frame]:
    """Decode one span of an open video frame by frame; only one frame is in memory at a time.

    Args:
        video: from `training.data.decoding.packet_index.open_video`.
        start: seconds from the first frame.
        end: seconds from the first frame.
        frames: number of evenly spaced frames; repeated if the span has fewer.
        size: short side to scale to, pixels; None: as stored.
        snap: take keyframes if every segment of the span has one.

    Yields:
        `frames` pictures, uint8 RGB [H, W, 3], all of one size.

    Raises:
        ClipFailed: the span, or a frame of it, can't be decoded.
    """
    with damage_as_clip_failure():
        numbers = _choose(video, start, end, frames, snap)
        if isinstance(numbers, ClipFailed):
            raise numbers
        wanted, times_shown = np.unique(numbers, return_counts=True)
        decoded = _decode(video, [int(number) for number in wanted], size, merge=video.in_one_go)
        for count, (number, repeats) in enumerate(zip(wanted, times_shown, strict=True)):
            decoded_number, frame = next(decoded, (-1, None))
            if decoded_number != number or frame is None:
                raise ClipFailed("undecodable", f"{len(wanted) - count} of {len(wanted)} frames can't be decoded")
            for _ in range(repeats):
                yield frame


@contextmanager
def damage_as_clip_failure() -> Iterator[None]:
    """Convert PyAV errors about the file to `ClipFailed`; let machine errors propagate."""
    try:
        yield
    except (av.FFmpegError, ValueError, IndexError, TypeError, ArithmeticError) as error:
        if is_machine_fault(error):
            raise
        raise ClipFailed("undecodable", one_line(error, named=True)) from None


def _choose(
    video: Video, start: float, end: float, frames: int, snap: bool, moments: Moments = None
) -> NDArray[np.int64] | ClipFailed:
    """Return the numbers of a clip's frames, or why the clip can't be decoded."""
    last = video.timeline.end
    if video.stated_end > last + _MISSING_SECONDS and min(end, video.stated_end) > last + _MISSING_SECONDS:
        return ClipFailed("truncated", f"the video ends at {last:.1f} of {video.stated_end:.1f} s")
    try:
        return frames_of_clip(video.timeline, start, end, frames, snap, moments)
    except ValueError as error:
        return ClipFailed("out_of_range", str(error))


def _decode(video: Video, wanted: Sequence[int], size: int | None, merge: bool = False) -> Iterator[tuple[int, Frame]]:
    """Yield number and picture of the wanted frames, in order; leave out frames that can't be decoded."""
    pictures = _Pictures(size, float(video.stream.sample_aspect_ratio or 1))
    for start, numbers in _runs(video, wanted, merge):
        after = max(int(video.packet_of[number]) for number in numbers) + 1
        shown = enumerate(_decoded(video.stream.codec_context, video.packets(start, after)))
        stamped = ((frame.pts if video.stamped else count, frame) for count, frame in shown)
        yield from _pick(stamped, {int(video.stamps[number]): number for number in numbers}, pictures)


def _runs(video: Video, wanted: Sequence[int], merge: bool) -> list[tuple[int, list[int]]]:
    """Return runs of decoding: the packet to begin at, and the frames to take.

    A run is one group of pictures; with `merge`, neighbouring groups are one run.
    """
    groups: dict[int, list[int]] = {}
    for number in wanted:
        groups.setdefault(int(video.start_of[number]), []).append(number)
    group_of = {int(start): group for group, start in enumerate(np.unique(video.start_of))}
    runs: list[tuple[int, list[int]]] = []
    last = -2
    for start, numbers in sorted(groups.items()):
        if merge and group_of[start] == last + 1:
            runs[-1][1].extend(numbers)
        else:
            runs.append((start, numbers))
        last = group_of[start]
    return runs


def _decoded(context: Any, packets: Iterator[Any]) -> Iterator[Any]:
    """Yield the frames of a run of packets in display order; skip packets that can't be decoded."""
    context.flush_buffers()
    for packet in packets:
        try:
            yield from context.decode(packet)
        except av.FFmpegError:
            continue
    try:
        yield from context.decode(None)
    except av.FFmpegError:
        return


def _pick(
    frames: Iterator[tuple[int | None, Any]], wanted: Mapping[int, int], pictures: _Pictures
) -> Iterator[tuple[int, Frame]]:
    """Yield the frames with the wanted time stamps; a frame that is not decoded is replaced by the one before it."""
    pending = sorted(wanted)
    before: Any = None
    for stamp, frame in frames:
        while pending and stamp is not None and pending[0] < stamp:
            yield wanted[pending.pop(0)], pictures.of(before or frame)
        if pending and stamp == pending[0]:
            yield wanted[pending.pop(0)], pictures.of(frame)
        if not pending:
            break
        before = frame
    if before is not None:
        for stamp in pending:
            yield wanted[stamp], pictures.of(before)


def _collect(decoded: Mapping[int, Frame], numbers: NDArray[np.int64]) -> list[Frame] | ClipFailed:
    missing = sum(int(number) not in decoded for number in numbers)
    if missing:
        return ClipFailed("undecodable", f"{missing} of {len(numbers)} frames of a clip can't be decoded")
    return [decoded[int(number)] for number in numbers]


class _Look(NamedTuple):
    """The look of a video, as the first frame that is decoded has it; a change midway doesn't count."""

    size: tuple[int, int]
    """Width and height in pixels, before the picture is turned."""
    colour: Colour
    orientation: Orientation


class _Pictures:
    """Converts decoded frames to RGB as a player shows them; reuses the scaler between frames."""

    def __init__(self, size: int | None, aspect: float) -> None:
        self._size = size
        self._aspect = aspect
        self._reformatter = VideoReformatter()
        self._look: _Look | None = None

    def of(self, frame: Any) -> Frame:
        """Return a frame as uint8 [H, W, 3]."""
        if self._look is None:
            colour = colour_of(ColourTags.of_frame(frame), frame.width, frame.height)
            self._look = _Look(self._target(frame), colour, Orientation.of_frame(frame))
        size, colour, orientation = self._look
        shrinks = size[0] < frame.width or size[1] < frame.height
        method = Interpolation.AREA if shrinks else Interpolation.BILINEAR
        picture = standard_picture(self._reformatter, frame, size, colour, interpolation=method, threads=1)
        return orientation.applied(picture)

    def _target(self, frame: Any) -> tuple[int, int]:
        """Return width and height before the picture is turned."""
        width, height = frame.width * self._aspect, float(frame.height)
        factor = 1.0 if self._size is None else self._size / min(width, height)
        if not 0 < width * height * factor**2 <= MAX_PIXELS:
            raise ClipFailed("undecodable", f"a picture of {width * factor:.0f}x{height * factor:.0f} pixels")
        return max(round(width * factor), 1), max(round(height * factor), 1)
