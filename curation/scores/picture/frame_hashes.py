"""Frame hashes: perceptual hashes of a root's frames at a fixed rate, for deduplication (ImageHash's ``phash``).

They are made of the picture inside black bars, so that a letterboxed copy has those of the original. Frames of hardly
any contrast are left out: a black frame is like every other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.scores.picture.content_box import content_box, steady_boxes
from curation.scores.root_frames import Frame, Luma
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, ScoreKind, Scorer, Value
from runtime.settings import Settings

_FLAT: Final = 4.0
"""Standard deviation of luma (0 to 255) up to which a frame is flat."""


class FrameHashesSettings(Settings):
    """The perceptual hashes of frames."""

    frames_per_second: float = Field(default=2.0, gt=0, le=60)
    """Hashes a second."""


class FrameHashesScorer(Scorer[Luma]):
    """Hashes the frames of roots."""

    def __init__(self, settings: FrameHashesSettings) -> None:
        self.sampling = Sampling(settings.frames_per_second)

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[Luma]:
        """Return each frame made small."""
        return [frame.small_luma() for frame in frames]

    def score(self, clip: ScoredClip[Luma]) -> Mapping[str, Value]:
        """Return the hashes of a root and their times, seconds from its start; None for clips inside a root."""
        if not clip.is_root:
            return {"frame_hash_times": None, "frame_hashes": None}
        times, hashes = hash_frames([(max(time - clip.start, 0.0), luma) for time, luma in clip.measures])
        return {"frame_hash_times": times, "frame_hashes": hashes}


def hash_frames(frames: Sequence[tuple[float, Luma]]) -> tuple[list[float], list[int]]:
    """Return times and hashes of a video's frames, inside of its black bars; flat frames are left out.

    Args:
        frames: time in seconds, and brightness with a short side of about 72 pixels.
    """
    boxes = steady_boxes([content_box(luma) for _, luma in frames])
    cut = [(time, box.cut(luma)) for (time, luma), box in zip(frames, boxes, strict=True) if box is not None]
    kept = [(time, picture) for time, picture in cut if picture.std() > _FLAT]
    return [time for time, _ in kept], [picture_hash(picture) for _, picture in kept]


def picture_hash(luma: Luma) -> int:
    """Return the perceptual hash of a picture as 64 bits; the first bit of the hash is the highest."""
    from imagehash import phash
    from PIL import Image

    bits = phash(Image.fromarray(np.ascontiguousarray(luma))).hash
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")


FRAME_HASHES: Final = ScoreKind(
    name="frame_hashes",
    summary="Perceptual hashes of the frames of root clips, for deduplication.",
    settings=FrameHashesSettings,
    columns=lambda settings: [
        ScoreColumn("frame_hash_times", "seconds from the clip's start; null below roots", pa.list_(pa.float32())),
        ScoreColumn("frame_hashes", "64-bit phash of the frame at each time; null below roots", pa.list_(pa.uint64())),
    ],
    build=FrameHashesScorer,
    programs=("ImageHash",),
    version=2,
)
