"""Keys of clips and videos, and names of shards: the same input gives the same keys on every machine.

A clip's key is ``<video16>_<start_ms:09d>_<end_ms:09d>``: no dots, so every webdataset reader splits a
member's name at the same place. If several sources cover the same time of a video, keys of the second end with ``_2``,
those of the third with ``_3``, and so on: clips of both may have equal times.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

SHARD_DIGITS = 7
_KEY = re.compile(r"([0-9a-f]{16})_(\d{9,})_(\d{9,})(?:_([2-9]|[1-9]\d+))?")


@dataclass(frozen=True)
class ClipKey:
    """The parts of a key: the video, the clip's span in milliseconds, and the number of its source."""

    video_id: str
    start_ms: int
    end_ms: int
    overlap: int = 1
    """1; or 2, 3, … if the span of the clip's source overlaps those of earlier sources of the video."""

    def __str__(self) -> str:
        end = "" if self.overlap == 1 else f"_{self.overlap}"
        return f"{self.video_id}_{self.start_ms:09d}_{self.end_ms:09d}{end}"

    @classmethod
    def parse(cls, key: str) -> ClipKey:
        """Return the parts of a key.

        Raises:
            ValueError: `key` is not a clip key.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"{key!r} is not a clip key (<16 hex digits>_<start ms>_<end ms>[_<number>])")
        return cls(match[1], int(match[2]), int(match[3]), int(match[4] or 1))


def video_id(canonical: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of a source's canonical id (``extractor:id`` or the URL)."""
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def clip_key(video: str, start: float, end: float, overlap: int = 1) -> str:
    """Return the key of the clip from `start` to `end` (seconds of the video), rounded to milliseconds.

    Args:
        video: 16 hex digits of the video.
        start: seconds.
        end: seconds.
        overlap: see `ClipKey.overlap`.
    """
    return str(ClipKey(video, round(start * 1000), round(end * 1000), overlap))


def shard_name(shard: int) -> str:
    """Return the file stem of a shard: seven digits."""
    return f"{shard:0{SHARD_DIGITS}d}"


def split_of(video: str, val_percent: float = 1.0) -> Literal["train", "val"]:
    """Return the split of a video, by hash of its id: all clips of one video are in the same split.

    Args:
        video: 16 hex digits of the video.
        val_percent: share of videos in ``val``, 0 to 100.
    """
    bucket = int(hashlib.sha256(f"split:{video}".encode()).hexdigest()[:8], 16) / 0x1_0000_0000
    return "val" if bucket * 100 < val_percent else "train"
