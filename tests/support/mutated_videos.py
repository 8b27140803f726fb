"""Videos with mutated headers, each made from its container and a number alone, and what the probe says of them."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from support.hostile_rows import memory_peak, outcome_of
from support.small_videos import small_video

from curation.media.picture.header_duration import header_duration
from curation.media.picture.probe import probe

CONTAINERS: Final = ("mp4", "mov", "mkv", "webm", "avi", "ts", "ogv", "flv", "gif")
_EXTREMES: Final = (
    bytes(4),
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\1",
    b"\xff\xff\xff\x7f",
    b"\0" * 8,
)
_HEADER: Final = 1500  # bytes at both ends of a file in which most mutations fall


def mutated(suffix: str, number: int) -> bytes:
    """Return the mutation `number` of a small video."""
    rng = random.Random(f"{suffix} {number}")
    data = bytearray(small_video(suffix))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        rng.choice(_MUTATIONS)(data, rng)
    return bytes(data)


def bad_outcomes(suffix: str, numbers: range, seconds: float, megabytes: float) -> list[str]:
    """Probe mutations; return a line for each that is neither probed nor failed as one of two classes, or is slow.

    Args:
        suffix: container of the video.
        numbers: which mutations.
        seconds: most processor time of one.
        megabytes: most growth of the process's memory over all of them.
    """
    small_video(suffix)
    bad = []
    with tempfile.TemporaryDirectory() as folder, memory_peak() as peak:
        path = Path(folder) / "v.mp4"
        for number in numbers:
            path.write_bytes(mutated(suffix, number))
            began = time.process_time()
            outcome = _outcome(path)
            if outcome or (took := time.process_time() - began) > seconds:
                bad.append(f"{suffix} {number}: {outcome or f'{took:.1f} s'}")
    return bad if peak.megabytes <= megabytes else [*bad, f"{peak.megabytes:.0f} MB"]


def _outcome(path: Path) -> str:
    """Return what is wrong with the outcome of a probe; nothing if it is a probe or a classed failure."""
    try:
        outcome = outcome_of(lambda: probe(path))
        header_duration(path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if outcome.startswith(("read: ", "corrupt: ", "not_video: ")) else outcome


def _place(data: bytearray, rng: random.Random) -> int:
    near_start, near_end = rng.randrange(_HEADER), len(data) - 1 - rng.randrange(_HEADER)
    place = rng.choice((near_start, near_start, near_end, rng.randrange(max(len(data), 1))))
    return min(max(place, 0), max(len(data) - 1, 0))


def _set_extreme(data: bytearray, rng: random.Random) -> None:
    place, value = _place(data, rng), rng.choice(_EXTREMES)
    data[place : place + len(value)] = value


def _flip_bit(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set_noise(data: bytearray, rng: random.Random) -> None:
    place, length = _place(data, rng), rng.randrange(1, 40)
    data[place : place + length] = rng.randbytes(length)


def _drop(data: bytearray, rng: random.Random) -> None:
    place = _place(data, rng)
    del data[place : place + rng.choice((1, 2, 4, 8, 100))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    place = _place(data, rng)
    data[place:place] = data[place : place + rng.randrange(1, 200)] * rng.choice((1, 2, 50))


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _join(data: bytearray, rng: random.Random) -> None:
    other = small_video(rng.choice(CONTAINERS))
    place = _place(data, rng)
    data[place : place + rng.randrange(200)] = other[: rng.randrange(len(other))]


_MUTATIONS: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (
    *(_set_extreme, _set_extreme, _flip_bit, _flip_bit, _set_noise, _drop, _repeat, _cut, _join),
)
