"""The parts of a video that a classifier sees: spans in time and square crops in space, as pure functions.

A span is cut into T equal segments, and the middle of each gives a frame (`training.data.decoding.clip_decoder`). Both
kinds of sampling are spans: a short window gives dense frames (SlowFast), the whole video one frame per segment (TSN).
Times are in seconds; `u` is a random number in [0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from runtime.errors import UserError
from training.data.clip_tasks import CENTER, Crop

Sampling = Literal["dense", "uniform"]
"""`dense`: a window of frames `STRIDE` apart at `RATE`; `uniform`: one frame from each equal segment of the video."""

Span = tuple[float, float]
"""Begin and end in seconds."""

STRIDE: Final = 4
"""Source frames from one frame of a dense window to the next (our choice; the paper only names SlowFast)."""
RATE: Final = 30.0
"""Frames per second to which `STRIDE` refers; SlowFast resamples every video to this rate."""


@dataclass(frozen=True)
class Views:
    """Number of views of a video whose scores are averaged."""

    temporal: int = 1
    """Spans."""
    spatial: int = 1
    """Square crops of each span: 1 (centre) or 3 (both ends of the longer side, and centre)."""

    @classmethod
    def parse(cls, text: str) -> Views:
        """Read ``5x3``.

        Raises:
            UserError: another form, or a number of crops other than 1 and 3.
        """
        temporal, cross, spatial = text.partition("x")
        if not cross or not temporal.isdecimal() or int(temporal) < 1 or spatial not in ("1", "3"):
            raise UserError(f"--views {text!r}: write spans x crops, such as 5x3; crops are 1 or 3")
        return cls(int(temporal), int(spatial))


ONE_VIEW: Final = Views()
"""Centre crop of one span, as in the paper's zero-shot evaluation."""


class DecodePlan(NamedTuple):
    """Spans to decode for all temporal views of a video."""

    spans: list[Span]
    frames: int
    """Frames to decode of each span."""
    interleaved: int
    """Views in each span: view i consists of every `interleaved`-th frame from frame i on."""


def drawn_span(sampling: Sampling, begin: float, end: float, frames: int, u: float) -> Span:
    """Return the span of a training clip: a random window, or the whole video with a random offset."""
    if sampling == "dense":
        return dense_window(begin, end, dense_seconds(frames), u)
    return uniform_span(begin, end, frames, u)


def plan_views(sampling: Sampling, begin: float, end: float, frames: int, count: int) -> DecodePlan:
    """Plan what to decode for `count` temporal test views of a video, or of its part from `begin` to `end`.

    Each dense view has its own window. Uniform views are interleaved: the video is decoded once with `count` times as
    many frames, which are dealt out to the views in turn.
    """
    if sampling == "dense":
        return DecodePlan(dense_windows(begin, end, dense_seconds(frames), count), frames, 1)
    return DecodePlan([(begin, end)], frames * count, count)


def dense_seconds(frames: int, stride: int = STRIDE, rate: float = RATE) -> float:
    """Return the length of a window of `frames` frames that are `stride` source frames apart."""
    return frames * stride / rate


def dense_window(begin: float, end: float, seconds: float, u: float) -> Span:
    """Return a window at a random position; of a video shorter than the window, all of it (frames are closer then).

    SlowFast repeats the last frame instead (`get_start_end_idx` and the clamp in its decoder).
    """
    free = (end - begin) - seconds
    if free <= 0:
        return begin, end
    return begin + u * free, begin + u * free + seconds


def dense_windows(begin: float, end: float, seconds: float, count: int) -> list[Span]:
    """Return evenly spaced windows from the start to the end of the video; a single one is centred."""
    positions = [0.5] if count == 1 else [index / (count - 1) for index in range(count)]
    return [dense_window(begin, end, seconds, position) for position in positions]


def uniform_span(begin: float, end: float, frames: int, u: float) -> Span:
    """Return the video less up to half a segment at one end, so that `u` shifts each frame within its segment.

    TSN draws an offset for each segment; here all segments share one, so frames stay equally far apart.
    """
    shift = (u - 0.5) * (end - begin) / frames
    return begin + max(shift, 0.0), end + min(shift, 0.0)


def crops(spatial: int, width: int, height: int) -> list[Crop]:
    """Return the square crops of a frame: the centre, or three along its longer side."""
    if spatial == 1:
        return [CENTER]
    positions = (0.0, 0.5, 1.0)
    if width >= height:
        return [Crop(scale=1.0, x=position, y=0.5, flip=False) for position in positions]
    return [Crop(scale=1.0, x=0.5, y=position, flip=False) for position in positions]
