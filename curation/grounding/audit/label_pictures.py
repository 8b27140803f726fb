"""Pictures of the clips of a sample for the page: frames of the stored video, small JPEG files as ``data:`` URLs.

A clip shows what happens in it, so frames are taken from the stored video, as many as fit the page; the keyframes stand
in for a video that can't be decoded.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from curation.engines.engine_interface import FramesRef, ImageRef
from curation.engines.request_frames import load_frames
from curation.engines.request_images import UnreadableImage
from shards.errors import ShardError
from shards.keys import shard_name
from shards.media.keyframes import read_still, stills_of
from shards.media.pictures import PictureError, opened_picture
from shards.reader import read_table
from shards.storage.store import Store
from shards.stored_rows import StoredClip

if TYPE_CHECKING:
    from PIL import Image

PAGE_BYTES: Final = 48 << 20
"""Bytes of all pictures of a page, as files."""
FRAMES: Final[Mapping[str, int]] = {"short": 8, "medium": 10, "long": 12}
_LEAST_FRAMES: Final = 2
_MOST_CLIP_BYTES: Final = 400 << 10
_SIZE: Final = (480, 360)
_QUALITY: Final = 72
_COLUMNS: Final = ["key", "start", "end", "offset", "num_frames", "fps", "byte_offset", "byte_size"]


class PicturedClip(Protocol):
    """A clip whose pictures are shown."""

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def root_key(self) -> str: ...  # noqa: D102
    @property
    def shard(self) -> int: ...  # noqa: D102
    @property
    def level(self) -> str: ...  # noqa: D102
    @property
    def start(self) -> float: ...  # noqa: D102
    @property
    def end(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class PagePicture:
    """One picture of a clip."""

    time: float
    """Seconds of the video."""
    url: str
    """A ``data:`` URL."""


def pictures_of(
    store: Store,
    clips: Sequence[PicturedClip],
    counts: Counter[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    frames: Mapping[str, int] = FRAMES,
    page_bytes: int = PAGE_BYTES,
) -> dict[str, list[PagePicture]]:
    """Return the pictures of each clip by its key, in order of time; clips without any have none.

    Args:
        store: the DIR.
        clips: those to show.
        counts: clips whose pictures are keyframes, or missing, by reason; added to.
        progress: called with (clips done, clips in all).
        frames: most pictures of a clip, by level.
        page_bytes: bytes of all pictures, as files; fewer pictures of each clip if they don't fit.
    """
    budget = min(page_bytes // max(len(clips), 1), _MOST_CLIP_BYTES)
    pictures: dict[str, list[PagePicture]] = {}
    for shard in sorted({clip.shard for clip in clips}):
        of_shard = [clip for clip in clips if clip.shard == shard]
        stored = _stored_clips(store, shard, {clip.key for clip in of_shard})
        for clip in of_shard:
            pictures[clip.key] = _within(_pictures(store, clip, stored.get(clip.key), frames, counts), budget)
            progress(len(pictures), len(clips))
    return pictures


def _stored_clips(store: Store, shard: int, keys: set[str]) -> dict[str, StoredClip]:
    try:
        rows = read_table(store, f"media/{shard_name(shard)}.parquet", _COLUMNS).to_pylist()
    except (FileNotFoundError, ShardError):
        return {}  # counted for each of its clips, as `without_video`
    return {row["key"]: row for row in rows if row["key"] in keys}


def _pictures(
    store: Store, clip: PicturedClip, stored: StoredClip | None, most: Mapping[str, int], counts: Counter[str]
) -> list[PagePicture]:
    count = most.get(clip.level, most["short"])
    frames = None if stored is None else _frames(store, clip, stored, count)
    if frames is not None:
        return frames
    counts["without_video"] += 1
    try:
        stills = stills_of(store, clip.shard).get(clip.root_key, ())
        own = [still for still in stills if clip.start <= still.time < clip.end][:count]
        return [PagePicture(still.time, _keyframe_url(read_still(store, clip.shard, still))) for still in own]
    except (FileNotFoundError, ShardError, PictureError):
        counts["without_pictures"] += 1
        return []


def _frames(store: Store, clip: PicturedClip, stored: StoredClip, count: int) -> list[PagePicture] | None:
    """Return frames from the middles of equal parts of a clip; None if its video can't be decoded."""
    seconds = stored["end"] - stored["start"]
    last = (stored["num_frames"] - 1) / stored["fps"]
    middles = [seconds * (part + 0.5) / count for part in range(count)]
    times = tuple(min(stored["offset"] + middle, last) for middle in middles)
    file = ImageRef(store.path(f"media/{shard_name(clip.shard)}.tar"), stored["byte_offset"], stored["byte_size"])
    try:
        frames = load_frames(FramesRef(file, times, labels=("",) * count))
    except UnreadableImage:
        return None
    return [PagePicture(clip.start + middle, _url(frame)) for middle, frame in zip(middles, frames, strict=True)]


def _keyframe_url(data: bytes) -> str:
    with opened_picture(data, ["JPEG"]) as picture:
        return _url(picture)


def _url(picture: Image.Image) -> str:
    small = picture.convert("RGB")
    small.thumbnail(_SIZE)
    data = io.BytesIO()
    small.save(data, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


def _within(pictures: list[PagePicture], budget: int) -> list[PagePicture]:
    """Return as many of the pictures as fit `budget` bytes, evenly spaced; at least `_LEAST_FRAMES`."""
    largest = max((len(picture.url) * 3 // 4 for picture in pictures), default=1)
    count = max(min(len(pictures), budget // largest), min(_LEAST_FRAMES, len(pictures)))
    return [pictures[(2 * part + 1) * len(pictures) // (2 * count)] for part in range(count)]
