"""Mix two channels to one without silencing them.

Recordings whose right channel is the left one inverted are common: two loudspeakers play them, and their average is
silence. For every ten seconds, the difference replaces the average where the average is much quieter than the channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from curation.engines.models.speech_recognizer import SAMPLE_RATE

_BLOCK: Final = 10 * SAMPLE_RATE  # pairs of samples that are mixed at once
_CANCELLED: Final = 0.1  # share of the channels' energy; the average of unrelated channels keeps half of it

Pairs = np.ndarray[Any, np.dtype[np.int16]]
"""Samples of two channels, of shape (count, 2)."""


def mix_file(stereo: Path, mono: Path) -> None:
    """Mix interleaved 16-bit samples of two channels to one channel, a block at a time."""
    with stereo.open("rb") as source, mono.open("wb") as target:
        while (flat := np.fromfile(source, np.int16, 2 * _BLOCK)).size:
            target.write(mix_to_mono(flat[: len(flat) // 2 * 2].reshape(-1, 2)).tobytes())


def mix_to_mono(pairs: Pairs) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Return the average of two channels, or half their difference if they cancel each other out."""
    left, right = pairs[:, 0].astype(np.float32), pairs[:, 1].astype(np.float32)
    average, difference = (left + right) / 2, (left - right) / 2
    energy = float(np.square(left).mean() + np.square(right).mean()) / 2
    cancelled = float(np.square(average).mean()) < _CANCELLED * energy
    return np.rint(difference if cancelled else average).clip(-32768, 32767).astype(np.int16)
