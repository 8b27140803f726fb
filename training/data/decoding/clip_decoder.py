"""From the bytes of a video to the frames of its clips: one open container, one thread, no frame decoded in vain.

PyAV decodes; `training.data.decoding.packet_index` says which packets a frame needs, `training.data.decoding.frame_sampling` which frames a clip
needs. Frames are uint8 RGB, H x W x 3, as a player shows them: square pixels, rotated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from runtime.errors import is_machine_fault, one_line
from runtime.untrusted_media import MAX_PIXELS
from training.data.clip_failure import ClipFailed
from training.data.decoding.frame_sampling import frames_of_clip
from training.data.decoding.packet_index import Video, open_video

Frame = NDArray[np.uint8]

_MISSING_SECONDS = 1.0  # at the end of a video may be missing without its being called truncated


def decode_clips(
    data: bytes | Path, spans: Sequence[tuple[float, float]], frames: int, *, size: int | None = None, snap: bool = True
) -> list[Frame]:
    """Decode `frames` evenly spaced frames of each span of a video.

    Args:
        data: the video's bytes, or a local file.
        spans: start and end in seconds from the first frame, clipped to the video; `math.inf` is its end.
        frames: frames a clip; repeated where a span has fewer.
        size: pixels of the short side to scale to; None: as stored.
        snap: take keyframes where every segment of a clip holds one: much faster, at most half a segment off.

    Returns:
        uint8 RGB [frames, H, W, 3] for each span.

    Raises:
        ClipFailed: the video can't be used, or one of the spans.
    """
    clips: list[Frame] = []
    for found in decode_spans(data, spans, frames, size=size, snap=snap):
        if isinstance(found, ClipFailed):
            raise found
        clips.append(np.stack(found))
    return clips


def decode_spans(
    data: bytes | Path, spans: Sequence[tuple[float, float]], frames: int, *, size: int | None = None, snap: bool = True
) -> list[list[Frame] | ClipFailed]:
    """As `decode_clips`, but a span that fails is a value, and a frame that spans share is one array.

    Raises:
        ClipFailed: nothing of the video can be used.
    """
    with damage_as_clip_failure(), open_video(data) as video:
        chosen = [_choose(video, start, end, frames, snap) for start, end in spans]
        wanted = sorted({int(number) for clip in chosen if not isinstance(clip, ClipFailed) for number in clip})
        found = dict(_decode(video, wanted, size))
    return [clip if isinstance(clip, ClipFailed) else _collect(found, clip) for clip in chosen]


def stream_span(
    video: Video, start: float, end: float, frames: int, *, size: int | None = None, snap: bool = True
) -> Iterator[Frame]:
    """As `decode_clips` for one span of a video that is open, but frame by frame: only one is held at a time.

    Args:
        video: as `training.data.decoding.packet_index.open_video` gives it.
        start: seconds from the first frame.
        end: seconds from the first frame.
        frames: how many, evenly spaced; repeated where the span has fewer.
        size: pixels of the short side to scale to; None: as stored.
        snap: take keyframes where every segment of the span holds one.

    Yields:
        `frames` pictures, uint8 RGB [H, W, 3], all of one size.

    Raises:
        ClipFailed: the span, or a frame of it, can't be had.
    """
    with damage_as_clip_failure():
        numbers = _choose(video, start, end, frames, snap)
        if isinstance(numbers, ClipFailed):
            raise numbers
        wanted, times_shown = np.unique(numbers, return_counts=True)
        decoded = _decode(video, [int(number) for number in wanted], size, merge=video.in_one_go)
        for count, (number, repeats) in enumerate(zip(wanted, times_shown, strict=True)):
            found, frame = next(decoded, (-1, None))
            if found != number or frame is None:
                raise ClipFailed("undecodable", f"{len(wanted) - count} of {len(wanted)} frames can't be decoded")
            for _ in range(repeats):
                yield frame


@contextmanager
def damage_as_clip_failure() -> Iterator[None]:
    """What damage in a file makes of PyAV becomes `ClipFailed`; what tells of the machine passes."""
    try:
        yield
    except (av.FFmpegError, ValueError, IndexError, TypeError, ArithmeticError) as error:
        if is_machine_fault(error):
            raise
        raise ClipFailed("undecodable", one_line(error, named=True)) from None


def _choose(video: Video, start: float, end: float, frames: int, snap: bool) -> NDArray[np.int64] | ClipFailed:
    """Numbers of a clip's frames."""
    there = video.timeline.end
    if video.stated_end > there + _MISSING_SECONDS and min(end, video.stated_end) > there + _MISSING_SECONDS:
        return ClipFailed("truncated", f"the video ends at {there:.1f} of {video.stated_end:.1f} s")
    try:
        return frames_of_clip(video.timeline, start, end, frames, snap)
    except ValueError as error:
        return ClipFailed("out_of_range", str(error))


def _decode(video: Video, wanted: Sequence[int], size: int | None, merge: bool = False) -> Iterator[tuple[int, Frame]]:
    """Decode the frames wanted, in order, run by run; those that can't be decoded are left out."""
    pictures = _Pictures(size, float(video.stream.sample_aspect_ratio or 1))
    for start, numbers in _runs(video, wanted, merge):
        after = max(int(video.packet_of[number]) for number in numbers) + 1
        shown = enumerate(_decoded(video.stream.codec_context, video.packets(start, after)))
        stamped = ((frame.pts if video.stamped else count, frame) for count, frame in shown)
        yield from _pick(stamped, {int(video.stamps[number]): number for number in numbers}, pictures)


def _runs(video: Video, wanted: Sequence[int], merge: bool) -> list[tuple[int, list[int]]]:
    """Where to begin decoding and the frames to take from there, group by group; `merge`: neighbours in one run."""
    groups: dict[int, list[int]] = {}
    for number in wanted:
        groups.setdefault(int(video.start_of[number]), []).append(number)
    place = {int(start): at for at, start in enumerate(np.unique(video.start_of))}
    runs: list[tuple[int, list[int]]] = []
    last = -2
    for start, numbers in sorted(groups.items()):
        if merge and place[start] == last + 1:
            runs[-1][1].extend(numbers)
        else:
            runs.append((start, numbers))
        last = place[start]
    return runs


def _decoded(context: Any, packets: Iterator[Any]) -> Iterator[Any]:
    """The frames of a run of packets, in the order of showing; what can't be decoded is left out."""
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
    """The frames with the stamps wanted; for one that does not come out, the one that stays on the screen instead."""
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


def _collect(found: Mapping[int, Frame], numbers: NDArray[np.int64]) -> list[Frame] | ClipFailed:
    missing = sum(int(number) not in found for number in numbers)
    if missing:
        return ClipFailed("undecodable", f"{missing} of {len(numbers)} frames of a clip can't be decoded")
    return [found[int(number)] for number in numbers]


class _Pictures:
    """Turns decoded frames into RGB as a player shows them; keeps the scaler between frames."""

    def __init__(self, size: int | None, aspect: float) -> None:
        self._size = size
        self._aspect = aspect
        self._reformatter = VideoReformatter()
        self._first: tuple[int, int] | None = None

    def of(self, frame: Any) -> Frame:
        """uint8 [H, W, 3]."""
        width, height = self._target(frame)
        shrinks = width < frame.width or height < frame.height
        method = Interpolation.AREA if shrinks else Interpolation.BILINEAR
        picture = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=method, threads=1)
        turns = round(frame.rotation / 90) % 4
        array = picture.to_ndarray().astype(np.uint8, copy=False)
        return np.ascontiguousarray(np.rot90(array, turns)) if turns else array

    def _target(self, frame: Any) -> tuple[int, int]:
        """Width and height, before rotation; all frames get those of the first, should sizes change."""
        if self._first is not None:
            return self._first
        width, height = frame.width * self._aspect, float(frame.height)
        factor = 1.0 if self._size is None else self._size / min(width, height)
        if not 0 < width * height * factor**2 <= MAX_PIXELS:
            raise ClipFailed("undecodable", f"a picture of {width * factor:.0f}x{height * factor:.0f} pixels")
        self._first = max(round(width * factor), 1), max(round(height * factor), 1)
        return self._first
