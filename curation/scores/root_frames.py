"""Frames of a stored root for several scorers from one decode: each gets the frames that it samples.

Groups of pictures in which no scorer wants a frame are not decoded, nor is what comes behind the last wanted frame of a
group.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.scores.scorer import Sampling
from runtime.errors import is_machine_fault, one_line
from runtime.picture.colour import ColourTags, colour_of
from shards.media.media_limits import DECODER_LIMITS, LIBAV_LIMITS

if TYPE_CHECKING:
    from PIL import Image

Luma = NDArray[np.uint8]
_ROUNDING: Final = 1e-4
"""Seconds by which a frame may be after the time at which it is wanted."""
_CHUNK: Final = 48
"""Frames in memory at a time."""
SMALL: Final = 128
"""Short side of a small frame, pixels: scores that share it share the scaling."""
_FULL_RANGE: Final = 2  # AVCOL_RANGE_JPEG
_BLACK, _WHITE = 16, 235  # of limited range


class UndecodableRoot(ValueError):
    """A root whose bytes are not a readable video; the message is one line."""


class Frame:
    """One decoded frame; pictures are made when they are first asked for, and shared by all scorers."""

    def __init__(self, time: float, decoded: Any) -> None:
        self.time = time
        """Seconds from the root's first frame."""
        self._decoded = decoded
        self._small: dict[int, Luma] = {}

    @cached_property
    def luma(self) -> Luma:
        """Brightness, uint8 [H, W]: 0 is black, 255 is white."""
        import cv2

        frame = self._decoded
        if frame.format.name not in ("yuv420p", "yuvj420p"):
            frame = frame.reformat(format="yuv420p")
        plane = frame.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        full = frame.format.name == "yuvj420p" or int(frame.color_range) == _FULL_RANGE
        picture: Luma = np.ascontiguousarray(rows) if full else cv2.LUT(np.ascontiguousarray(rows), _full_range())
        return picture

    def small_luma(self, short_side: int = SMALL) -> Luma:
        """Return the brightness with the short side scaled down to so many pixels (area average), uint8 [H, W]."""
        import cv2

        if short_side not in self._small:
            height, width = self.luma.shape
            scale = short_side / min(height, width)
            size = (max(round(width * scale), 1), max(round(height * scale), 1))
            smaller = cv2.resize(self.luma, size, interpolation=cv2.INTER_AREA) if scale < 1 else self.luma
            self._small[short_side] = smaller
        return self._small[short_side]

    @cached_property
    def rgb(self) -> NDArray[np.uint8]:
        """Colours, uint8 RGB [H, W, 3]."""
        from av.video.reformatter import Colorspace

        frame = self._decoded
        meant = colour_of(ColourTags.of_frame(frame), frame.width, frame.height).matrix
        matrix = Colorspace.ITU709 if meant == "bt709" else Colorspace.ITU601
        converted = frame.reformat(format="rgb24", src_colorspace=matrix, dst_colorspace=matrix)
        picture: NDArray[np.uint8] = converted.to_ndarray()
        return picture

    @cached_property
    def image(self) -> Image.Image:
        """The same as a picture of Pillow."""
        from PIL import Image

        return Image.fromarray(self.rgb)


class Seen(NamedTuple):
    """Some consecutive frames of a root, and the numbers in them that one scorer samples, by its name."""

    frames: Sequence[Frame]
    wanted: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class FrameTimeline:
    """The frames of a stored video in order of time."""

    times: Sequence[float]
    """Seconds from the first frame."""
    keyframes: Sequence[int]
    """Numbers of the keyframes, in order."""

    def sampled(self, sampling: Sampling) -> list[int]:
        """Return the numbers of the frames that a sampling takes, in order."""
        if not self.times:
            return []
        if sampling.per_second * self.times[-1] >= len(self.times) - 1:
            return list(range(len(self.times)))
        allowed = self.keyframes if sampling.on_keyframes else range(len(self.times))
        times = [self.times[number] for number in allowed]
        taken: list[int] = []
        for step in range(int((self.times[-1] + _ROUNDING) * sampling.per_second) + 1):
            place = bisect_right(times, step / sampling.per_second + _ROUNDING) - 1
            if place >= 0 and (not taken or taken[-1] != allowed[place]):
                taken.append(allowed[place])
        if not sampling.and_after:
            return taken
        later = (number + sampling.and_after for number in taken)
        return sorted({*taken, *(number for number in later if number < len(self.times))})


def root_frames(data: bytes, samplings: Mapping[str, Sampling]) -> Iterator[Seen]:
    """Decode the frames of a root that some sampling takes, a few dozen at a time.

    Args:
        data: the root's mp4.
        samplings: by the name of the scorer.

    Raises:
        UndecodableRoot: not a readable video, or no wanted frame of it decodes.
        MachineError: memory is exhausted.
    """
    import av

    try:
        with av.open(io.BytesIO(data), format="mp4", options=dict(LIBAV_LIMITS)) as container:
            yield from _seen(container, samplings)
    except (av.FFmpegError, ValueError, IndexError, TypeError, ArithmeticError) as error:
        if is_machine_fault(error) or isinstance(error, UndecodableRoot):
            raise
        raise UndecodableRoot(one_line(error, named=True)) from error


def _seen(container: Any, samplings: Mapping[str, Sampling]) -> Iterator[Seen]:
    if not container.streams.video:
        raise UndecodableRoot("it holds no picture")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    stream.codec_context.options = dict(DECODER_LIMITS)
    packets = [packet for packet in container.demux(stream) if packet.size and packet.pts is not None]
    stamps = sorted(packet.pts for packet in packets)
    if not stamps:
        raise UndecodableRoot("it holds no frame")
    base = float(stream.time_base)
    number_of = {stamp: number for number, stamp in enumerate(stamps)}
    keyframes = sorted(number_of[packet.pts] for packet in packets if packet.is_keyframe)
    timeline = FrameTimeline([(stamp - stamps[0]) * base for stamp in stamps], keyframes)
    taken = {name: set(timeline.sampled(sampling)) for name, sampling in samplings.items()}
    wanted = set().union(*taken.values()) if taken else set()
    waiting: list[tuple[int, Frame]] = []
    any_decoded = False
    for decoded in _decoded(stream.codec_context, _groups(packets), {stamps[number] for number in wanted}):
        number = number_of[decoded.pts]
        waiting.append((number, Frame(timeline.times[number], decoded)))
        any_decoded = True
        if len(waiting) == _CHUNK:
            yield _chunk(waiting, taken)
            waiting = []
    if waiting:
        yield _chunk(waiting, taken)
    if wanted and not any_decoded:
        raise UndecodableRoot("none of its frames decodes")


def _chunk(frames: Sequence[tuple[int, Frame]], taken: Mapping[str, set[int]]) -> Seen:
    wanted = {name: [at for at, (number, _) in enumerate(frames) if number in own] for name, own in taken.items()}
    return Seen([frame for _, frame in frames], wanted)


def _groups(packets: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the packets of each group of pictures, from one keyframe to the next."""
    group: list[Any] = []
    for packet in packets:
        if packet.is_keyframe and group:
            yield group
            group = []
        group.append(packet)
    if group:
        yield group


def _decoded(context: Any, groups: Iterator[list[Any]], wanted: set[int]) -> Iterator[Any]:
    """Yield the frames with the wanted time stamps, in order; what can't be decoded is left out."""
    import av

    for group in groups:
        last = max((at for at, packet in enumerate(group) if packet.pts in wanted), default=None)
        if last is None:
            continue
        context.flush_buffers()
        for packet in (*group[: last + 1], None):
            try:
                frames = context.decode(packet)
            except av.FFmpegError:
                continue
            yield from (frame for frame in frames if frame.pts in wanted)


def _full_range() -> Luma:
    """Return the table from limited to full range."""
    values = (np.arange(256) - _BLACK) * (255 / (_WHITE - _BLACK))
    table: Luma = values.round().clip(0, 255).astype(np.uint8)
    return table
