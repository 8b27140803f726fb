"""Alignment of two sequences of frame hashes over time: offset, speed, and the spans that show the same. Pure.

Pairs of frames whose hashes are near vote for the line ``time in B = speed * time in A + offset`` that they lie on.
Along the line with most votes the frames are compared again, and the stretch that matches best is the alignment.

Shapes: A and B frames of the two sequences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Seconds = NDArray[np.float64]

BITS: Final = 64
_SPEEDS: Final = np.round(np.arange(0.92, 1.0801, 0.02), 2)
_BIN: Final = 0.5
"""Seconds of a bin of offsets."""
_BETTER: Final = 1.03
"""Factor by which a speed needs more votes than one that is nearer to 1."""
_PIVOT: Final = 0.9
"""Share of the most bits beyond which a frame speaks against a span: hardly matching frames must not lengthen it."""
_MISS: Final = -1.5
_SLACK: Final = 0.6
"""Seconds by which a frame may be off the line."""


@dataclass(frozen=True)
class AlignmentLimits:
    """Limits on what counts as the same pictures."""

    distance: int = 22
    """Most bits, of 64, by which the hashes of two matching frames differ."""
    mean_distance: float = 18.0
    """Most bits by which matching frames differ on average."""
    still_distance: float = 6.0
    """Most bits on average of pictures that do not move: they are as near at other times, and must be nearly equal."""
    contrast_weight: float = 1.6
    """Bits by which this grows for each bit that matching frames differ less than the two spans do at other times."""
    matched: float = 0.7
    """Least share of frames within the aligned spans that match."""
    seconds: float = 3.0
    """Least length of the aligned spans."""


@dataclass(frozen=True)
class Alignment:
    """Two spans, in seconds from the start of each, that show the same."""

    start_a: float
    end_a: float
    start_b: float
    end_b: float
    speed: float
    """Seconds of B for one second of A."""
    similarity: float
    """1 - mean distance of the matching frames / 64."""

    def swapped(self) -> Alignment:
        """Return the same alignment with A and B exchanged."""
        return replace(
            self,
            start_a=self.start_b,
            end_a=self.end_b,
            start_b=self.start_a,
            end_b=self.end_a,
            speed=1 / self.speed,
        )


def align(
    times_A: Seconds, hashes_A: Hashes, times_B: Seconds, hashes_B: Hashes, limits: AlignmentLimits
) -> Alignment | None:
    """Return the best alignment of two sequences, or None if they show nothing in common for long enough."""
    if not len(times_A) or not len(times_B):
        return None
    distance_AB = np.bitwise_count(hashes_A[:, None] ^ hashes_B[None, :]).astype(np.int16)
    line = _best_line(times_A, times_B, distance_AB, limits.distance)
    if line is None:
        return None
    speed, offset = line
    on_line_A, nearest_A = _along(times_A * speed + offset, times_B, distance_AB)
    span = _best_span(on_line_A, limits.distance)
    if span is None:
        return None
    return _accepted(span, on_line_A, nearest_A, (times_A, times_B), distance_AB, speed, limits)


def _best_line(
    times_A: Seconds, times_B: Seconds, distance_AB: NDArray[np.int16], most: int
) -> tuple[float, float] | None:
    """Return speed and offset of the line with most votes; a vote weighs more the nearer its hashes are."""
    a, b = np.nonzero(distance_AB <= most)
    if not len(a):
        return None
    weights = (most + 1 - distance_AB[a, b]).astype(np.float64)
    # A frame that is near to many frames (black, a still) must not outvote the others.
    weights /= np.bincount(a, weights, len(times_A))[a]
    best: tuple[float, float, float] | None = None
    for speed in sorted(_SPEEDS, key=lambda value: abs(value - 1)):
        offsets = times_B[b] - speed * times_A[a]
        bins = np.floor((offsets - offsets.min()) / _BIN).astype(np.int64)
        votes = np.bincount(bins, weights)
        near = np.convolve(votes, [0.5, 1.0, 0.5], "same")
        top = int(near.argmax())
        if best is None or near[top] > best[0] * _BETTER:
            close = np.abs(bins - top) <= 1
            best = (float(near[top]), float(speed), float(np.average(offsets[close], weights=weights[close])))
    assert best is not None
    return best[1], best[2]


def _along(
    expected_A: Seconds, times_B: Seconds, distance_AB: NDArray[np.int16]
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Return the least distance of each frame of A to frames of B near its expected time, and that frame of B.

    Frames without a frame of B there have the distance -1.
    """
    off = np.abs(expected_A[:, None] - times_B[None, :]) > _SLACK
    masked = np.where(off, BITS + 1, distance_AB)
    nearest = masked.argmin(axis=1)
    least = masked[np.arange(len(expected_A)), nearest].astype(np.int16)
    return np.where(least > BITS, np.int16(-1), least), nearest


def _best_span(on_line_A: NDArray[np.int16], most: int) -> tuple[int, int] | None:
    """Return first and last frame of A of the span with the most nearness over distance."""
    pivot = _PIVOT * most
    gain = np.where(on_line_A < 0, -1000.0, np.clip((pivot - on_line_A) / pivot, _MISS, 1.0))
    best, best_span, total, first = 0.0, None, 0.0, 0
    for number, value in enumerate(gain.tolist()):
        if total <= 0:
            total, first = 0.0, number
        total += value
        if total > best:
            best, best_span = total, (first, number)
    return best_span


def _accepted(
    span: tuple[int, int],
    on_line_A: NDArray[np.int16],
    nearest_A: NDArray[np.int64],
    times: tuple[Seconds, Seconds],
    distance_AB: NDArray[np.int16],
    speed: float,
    limits: AlignmentLimits,
) -> Alignment | None:
    """Return the alignment over a span, or None if it is short, patchy, or no nearer than the rest of the videos."""
    first, last = span
    distances = on_line_A[first : last + 1]
    matches = distances <= limits.distance
    mean = float(distances[matches].mean())
    times_A, times_B = times
    step_a, step_b = _step(times_A), _step(times_B)
    b = nearest_A[first : last + 1][matches]
    found = Alignment(
        float(times_A[first]),
        float(times_A[last]) + step_a,
        float(times_B[b.min()]),
        float(times_B[b.max()]) + step_b,
        speed,
        1 - mean / BITS,
    )
    shortest = min(found.end_a - found.start_a, found.end_b - found.start_b)
    if shortest < limits.seconds or matches.mean() < limits.matched:
        return None
    elsewhere = float(np.median(distance_AB[first : last + 1][:, b.min() : b.max() + 1]))
    most = limits.still_distance + limits.contrast_weight * max(elsewhere - mean, 0.0)
    return found if mean <= min(most, limits.mean_distance) else None


def _step(times: Seconds) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.5
