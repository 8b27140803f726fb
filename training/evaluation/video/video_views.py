"""Which part of a video a classifier looks at: spans in time and squares in space, as pure functions.

A span is cut into T equal segments and the middle of each is taken as a frame (`training.data.decoding.clip_decoder`), so both ways
of sampling are spans: a short window gives dense frames (SlowFast), the whole video gives one frame a segment (TSN).
Times are in seconds, `u` is a random number in [0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from runtime.errors import UserError
from training.data.clip_tasks import CENTER, Crop

Sampling = Literal["dense", "uniform"]
"""`dense`: a window of frames `STRIDE` apart at `RATE`; `uniform`: one frame from each equal segment of the video."""

Span = tuple[float, float]
"""Begin and end in seconds."""

STRIDE: Final = 4
"""Frames of the source between two frames of a dense window (ours; the paper only names SlowFast)."""
RATE: Final = 30.0
"""Frames per second that `STRIDE` counts in; SlowFast brings every video to this rate in the same way."""


@dataclass(frozen=True)
class Views:
    """How many looks at a video are averaged."""

    temporal: int = 1
    """Spans."""
    spatial: int = 1
    """Squares of each span: 1 (the centre) or 3 (both ends of the longer side, and the centre)."""

    @classmethod
    def parse(cls, text: str) -> Views:
        """Read ``5x3``.

        Raises:
            UserError: another form, or a number of squares other than 1 and 3.
        """
        temporal, cross, spatial = text.partition("x")
        if not cross or not temporal.isdecimal() or int(temporal) < 1 or spatial not in ("1", "3"):
            raise UserError(f"--views {text!r}: write spans x squares, such as 5x3; squares are 1 or 3")
        return cls(int(temporal), int(spatial))


ONE_VIEW: Final = Views()
"""The centre of one span, as in the paper's zero-shot evaluation."""


def drawn_span(sampling: Sampling, begin: float, end: float, frames: int, u: float) -> Span:
    """The span of a training clip: a random window, or all segments with a random offset."""
    if sampling == "dense":
        return dense_window(begin, end, dense_seconds(frames), u)
    return uniform_span(begin, end, frames, u)


def looks(sampling: Sampling, begin: float, end: float, frames: int, count: int) -> tuple[list[Span], int, int]:
    """What to decode for `count` views of a video, or of its part from `begin` to `end`, at test time.

    Dense views are windows of their own. Uniform views interleave: the video is decoded once with `count` times as many
    frames, and view number i is every `count`-th of them from the i-th on.

    Returns:
        Spans to decode, frames of each, and how many views each is dealt out to.
    """
    if sampling == "dense":
        return dense_windows(begin, end, dense_seconds(frames), count), frames, 1
    return [(begin, end)], frames * count, count


def dense_seconds(frames: int, stride: int = STRIDE, rate: float = RATE) -> float:
    """Length of a window of `frames` frames that lie `stride` source frames apart."""
    return frames * stride / rate


def dense_window(begin: float, end: float, seconds: float, u: float) -> Span:
    """A window anywhere in the video; a video shorter than the window is taken whole, its frames lie closer.

    SlowFast repeats the last frame there instead (`get_start_end_idx` and the clamp in its decoder).
    """
    free = (end - begin) - seconds
    if free <= 0:
        return begin, end
    return begin + u * free, begin + u * free + seconds


def dense_windows(begin: float, end: float, seconds: float, count: int) -> list[Span]:
    """Windows spread evenly from the first that fits to the last; a single one lies in the middle."""
    places = [0.5] if count == 1 else [index / (count - 1) for index in range(count)]
    return [dense_window(begin, end, seconds, place) for place in places]


def uniform_span(begin: float, end: float, frames: int, u: float) -> Span:
    """The video less up to half a segment at one end, by which frames move within their segments as `u` goes 0 to 1.

    TSN draws an offset for each segment; here one offset serves them all, so frames stay equally far apart.
    """
    shift = (u - 0.5) * (end - begin) / frames
    return begin + max(shift, 0.0), end + min(shift, 0.0)


def crops(spatial: int, width: int, height: int) -> list[Crop]:
    """The squares of a frame: the centre, or three along its longer side."""
    if spatial == 1:
        return [CENTER]
    places = (0.0, 0.5, 1.0)
    if width >= height:
        return [Crop(scale=1.0, x=place, y=0.5, flip=False) for place in places]
    return [Crop(scale=1.0, x=0.5, y=place, flip=False) for place in places]
