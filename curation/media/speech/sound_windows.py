"""Read extracted sound from a file, and split it into windows at quiet moments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from curation.engines.models.speech_recognizer import SAMPLE_RATE

Sound = np.ndarray[Any, np.dtype[np.int16]]
"""Mono 16-bit samples at 16 kHz."""

_HOP: Final = SAMPLE_RATE // 10  # samples over which loudness is measured: a tenth of a second
_SMOOTH: Final = 5  # hops over which loudness is averaged: half a second


class SoundFile:
    """Mono 16-bit samples at 16 kHz in a file, sliced like an array.

    Not a memory map, because its pages stay with the process, and an hour of sound has 115 MB of them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = path.stat().st_size // 2

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, span: slice) -> Sound:
        first, last, _ = span.indices(self._count)
        return np.fromfile(self._path, dtype=np.int16, count=max(last - first, 0), offset=2 * first)


def split_sound(sound: Sound | SoundFile, limit: int) -> Iterator[tuple[int, int]]:
    """Split sound into windows of at most `limit` samples, each ended at the quietest moment of its last minute.

    Args:
        sound: mono samples at 16 kHz; of a file only the minutes before cuts are read.
        limit: samples, more than a second of them.

    Yields:
        First and last sample (exclusive) of each window; they tile the sound.
    """
    start = 0
    while len(sound) - start > limit:
        first = start + limit - min(60 * SAMPLE_RATE, limit // 2)
        cut = first + _quietest_moment(sound[first : start + limit])
        yield start, cut
        start = cut
    if start < len(sound):
        yield start, len(sound)


def _quietest_moment(sound: Sound) -> int:
    """Return the middle of the quietest half second, in samples."""
    frames = sound[: len(sound) // _HOP * _HOP].reshape(-1, _HOP).astype(np.float32)
    energy = np.convolve((frames**2).mean(axis=1), np.ones(_SMOOTH), mode="valid")
    return int((np.argmin(energy) + _SMOOTH / 2) * _HOP)
