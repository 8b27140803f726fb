"""The pictures of each clip of a shard, from its media table and the positions of its keyframes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curation.captions.keyframe_images import keyframe_images
from curation.captions.keyframe_names import parse_keyframe_name
from curation.engines.engine_interface import ImageRef
from curation.grounding.pixels.clip_pictures import ClipPictures, Still, StoredRoot
from shards.keys import shard_name
from shards.storage.store import Store
from shards.stored_rows import StoredClip


def pictures_of_shard(store: Store, shard: int, clips: Sequence[StoredClip]) -> dict[str, ClipPictures]:
    """Return the pictures of each clip by its key; a shard whose keyframes were deleted has its videos.

    Args:
        store: the DIR.
        shard: its number.
        clips: rows of its media table.
    """
    try:
        stills = keyframe_images(store, shard)
    except FileNotFoundError:
        stills = {}
    media = f"media/{shard_name(shard)}.tar"
    return stored_pictures(clips, stills, store.path(media) if store.exists(media) else None)


def stored_pictures(
    clips: Sequence[StoredClip], keyframes: Mapping[str, ImageRef], media: str | None
) -> dict[str, ClipPictures]:
    """Return the pictures of each clip by its key.

    Args:
        clips: rows of a media table.
        keyframes: of the same shard, by name.
        media: path or URL of the tar with the roots' videos; None if it is not there.
    """
    of_root: dict[str, list[tuple[int, Still]]] = {}
    for name, image in keyframes.items():
        root, milliseconds = parse_keyframe_name(name)
        of_root.setdefault(root, []).append((milliseconds, Still(milliseconds / 1000, image)))
    pictures: dict[str, ClipPictures] = {}
    for clip in clips:
        first, last = round(clip["start"] * 1000), round(clip["end"] * 1000)
        stills = sorted(of_root.get(clip["root_key"], ()), key=lambda timed: timed[0])
        own = tuple(still for time, still in stills if first <= time < last)
        root_video = None if media is None else _stored_root(clip, media)
        pictures[clip["key"]] = ClipPictures(clip["start"], own, root_video)
    return pictures


def _stored_root(clip: StoredClip, media: str) -> StoredRoot:
    first_frame = clip["start"] - clip["offset"]
    last_frame = first_frame + (clip["num_frames"] - 1) / clip["fps"]
    return StoredRoot(ImageRef(media, clip["byte_offset"], clip["byte_size"]), first_frame, last_frame)
