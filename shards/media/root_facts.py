"""The immutable facts of a root, beside its mp4 in the tar: read without the rest of the tar."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from shards.errors import ShardError
from shards.keys import shard_name
from shards.storage.store import Store
from shards.storage.tar import ByteSpan, member_after, read_span

_LARGEST: Final = 64 << 20
"""Bytes of the facts of one root."""


def read_root_facts(store: Store, shard: int, root_key: str, mp4: ByteSpan) -> Mapping[str, Any]:
    """Return the facts in ``<root_key>.json``, which follows the root's mp4 in the tar.

    Args:
        store: the DIR.
        shard: its number.
        root_key: key of the root.
        mp4: byte range of the root's mp4, as the media table states it.

    Raises:
        ShardError: the member after the mp4 is another one, or is no JSON object.
        FileNotFoundError: there is no such tar.
    """
    name = f"media/{shard_name(shard)}.tar"
    member = member_after(store, name, mp4)
    if member.name != f"{root_key}.json" or member.size > _LARGEST:
        raise ShardError(f"{name}: {member.name} follows the mp4 of {root_key}, not its facts")
    try:
        facts = json.loads(read_span(store, name, member.offset, member.size))
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        raise ShardError(f"{name}: {member.name} holds no JSON object")
    return facts


def shots_of(facts: Mapping[str, Any]) -> list[float]:
    """Return the seconds of the video at which a new shot begins; none for a DIR that was made without them."""
    given = facts.get("shots")
    times = given if isinstance(given, list) else []
    return sorted(float(time) for time in times if isinstance(time, int | float) and math.isfinite(time))
