"""From the bytes of a video to the frames of its clips: one open container, one thread, no frame decoded in vain.

PyAV decodes; `training.data.packets` says which packets a frame needs, `training.data.sampling` which frames a clip
needs. Frames are uint8 RGB, H x W x 3, as a player shows them: square pixels, rotated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from runtime.errors import is_machine_fault
from runtime.untrusted import MAX_PIXELS
from training.data.packets import Video, open_video
from training.data.records import ClipFailed as ClipFailed
from training.data.sampling import frames_of_clip

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
    try:
        with open_video(data) as video:
            chosen = [_choose(video, start, end, frames, snap) for start, end in spans]
            wanted = sorted({int(number) for clip in chosen if not isinstance(clip, ClipFailed) for number in clip})
            found = _decode(video, wanted, size)
    except (av.FFmpegError, ValueError, IndexError, TypeError, ArithmeticError) as error:  # what damage makes of PyAV
        if is_machine_fault(error):
            raise
        raise ClipFailed("undecodable", f"{type(error).__name__}: {error}") from None
    return [clip if isinstance(clip, ClipFailed) else _collect(found, clip) for clip in chosen]


def _choose(video: Video, start: float, end: float, frames: int, snap: bool) -> NDArray[np.int64] | ClipFailed:
    """Numbers of a clip's frames."""
    there = video.timeline.end
    if video.stated_end > there + _MISSING_SECONDS and min(end, video.stated_end) > there + _MISSING_SECONDS:
        return ClipFailed("truncated", f"the video ends at {there:.1f} of {video.stated_end:.1f} s")
    try:
        return frames_of_clip(video.timeline, start, end, frames, snap)
    except ValueError as error:
        return ClipFailed("out_of_range", str(error))


def _decode(video: Video, wanted: Sequence[int], size: int | None) -> dict[int, Frame]:
    """Decode the frames wanted, group by group; those that can't be decoded are left out."""
    groups: dict[int, list[int]] = {}
    for number in wanted:
        groups.setdefault(int(video.start_of[number]), []).append(number)
    pictures = _Pictures(size, float(video.stream.sample_aspect_ratio or 1))
    found: dict[int, Frame] = {}
    for start, numbers in sorted(groups.items()):
        after = max(int(video.packet_of[number]) for number in numbers) + 1
        shown = enumerate(_decoded(video.stream.codec_context, video.packets(start, after)))
        stamped = ((frame.pts if video.stamped else count, frame) for count, frame in shown)
        found.update(_pick(stamped, {int(video.stamps[number]): number for number in numbers}, pictures))
    return found


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


def _pick(frames: Iterator[tuple[int | None, Any]], wanted: Mapping[int, int], pictures: _Pictures) -> dict[int, Frame]:
    """The frames with the stamps wanted; for one that does not come out, the one that stays on the screen instead."""
    pending = sorted(wanted)
    found: dict[int, Frame] = {}
    before: Any = None
    for stamp, frame in frames:
        while pending and stamp is not None and pending[0] < stamp:
            found[wanted[pending.pop(0)]] = pictures.of(before or frame)
        if pending and stamp == pending[0]:
            found[wanted[pending.pop(0)]] = pictures.of(frame)
        if not pending:
            break
        before = frame
    if before is not None:
        found.update({wanted[stamp]: pictures.of(before) for stamp in pending})
    return found


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
