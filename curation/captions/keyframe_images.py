"""The keyframes of a shard: where each is in their tar."""

from __future__ import annotations

from curation.captions.keyframe_names import parse_keyframe_name
from curation.engines.engine_interface import ImageRef
from shards.keys import shard_name
from shards.storage.store import Store
from shards.storage.tar import members


def keyframe_images(store: Store, shard: int) -> dict[str, ImageRef]:
    """Return the keyframes of a shard by name, in order of root and time; only the headers of the tar are read.

    Raises:
        FileNotFoundError: the shard has no tar of keyframes.
        ShardError: the tar is damaged.
    """
    name = f"keyframes/{shard_name(shard)}.tar"
    url = store.path(name)
    images = {member.name: ImageRef(url, member.offset, member.size) for member in members(store, name)}
    in_order = sorted((name for name in images if name.endswith(".jpg")), key=parse_keyframe_name)
    return {name: images[name] for name in in_order}
