"""Reads all clips of one shard, kept or not, with the text of each: what a model scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shards.keys import shard_name
from shards.reader import read_table
from shards.storage.store import Store
from training.data.clip_tasks import MediaRef
from training.evaluation.benchmarks.retrieval.retrieval_set import VideoItem

_COLUMNS = ("key", "video_id", "start", "end", "offset", "byte_offset", "byte_size")


@dataclass(frozen=True)
class ShardClips:
    """The clips of a shard in the order of its media table."""

    keys: tuple[str, ...]
    videos: tuple[str, ...]
    """The video of each clip."""
    items: tuple[VideoItem, ...]
    texts: tuple[str | None, ...]
    """None for a clip without a text."""


def read_clips(store: Store, shard: int, layer: str | None, columns: Sequence[str]) -> ShardClips:
    """Read the clips of a shard.

    Args:
        store: the DIR.
        shard: number of a shard with media.
        layer: text layer; None, or one without this shard: the clips have no texts.
        columns: text columns in order of preference; the first that is not empty gives the clip's text.

    Raises:
        ShardError: a table is unreadable, or lacks a column.
    """
    rows = read_table(store, f"media/{shard_name(shard)}.parquet", _COLUMNS).to_pylist()
    tar = store.path(f"media/{shard_name(shard)}.tar")
    texts = {} if layer is None else _texts(store, f"text/{layer}/{shard_name(shard)}.parquet", columns)
    return ShardClips(
        keys=tuple(row["key"] for row in rows),
        videos=tuple(row["video_id"] for row in rows),
        items=tuple(_item(row, tar) for row in rows),
        texts=tuple(texts.get(row["key"]) for row in rows),
    )


def _item(row: Mapping[str, Any], tar: str) -> VideoItem:
    seconds = row["end"] - row["start"]
    media = MediaRef(tar, row["byte_offset"], row["byte_size"])
    return VideoItem(row["key"], media, row["offset"], row["offset"] + seconds, seconds)


def _texts(store: Store, name: str, columns: Sequence[str]) -> dict[str, str | None]:
    if not store.exists(name):
        return {}
    rows = read_table(store, name, ["key", *columns]).to_pylist()
    return {row["key"]: _first([row[column] or "" for column in columns]) for row in rows}


def _first(texts: Sequence[str]) -> str | None:
    """Return the first text that is not empty, without the space around it."""
    return next((text.strip() for text in texts if text.strip()), None)
