"""The statements of a site about the video of each root, and carried columns, joined to clips by root key.

``videos/<shard>.parquet`` holds one row a root, so that a join needs no times: ``join videos using (root_key)``. A DIR
of an older version has no such tables; nothing is then known of its videos.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from shards.keys import shard_name
from shards.reader import read_table
from shards.schema import VIDEOS
from shards.storage.store import Store
from shards.stored_rows import StoredVideo

if TYPE_CHECKING:
    import duckdb

VIDEO_COLUMNS: Final = tuple(name for name in VIDEOS.names if name != "root_key")
"""Columns that a clip gets from its video."""


def read_videos(store: Store, shard: int) -> pa.Table:
    """Return the rows of one shard; none if the shard was made without them.

    Raises:
        ShardError: the table is unreadable.
    """
    try:
        return read_table(store, f"videos/{shard_name(shard)}.parquet", VIDEOS.names)
    except FileNotFoundError:
        return VIDEOS.empty_table()


def videos_by_root(videos: pa.Table) -> Mapping[str, StoredVideo]:
    """Return what is known of the video of each root; a root of which nothing is known has nulls."""
    rows = {row.pop("root_key"): row for row in videos.to_pylist()}
    return defaultdict(lambda: StoredVideo(**dict.fromkeys(VIDEO_COLUMNS)), rows)  # type: ignore[typeddict-item]


def with_videos(clips: duckdb.DuckDBPyRelation, videos: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return clips with the columns ``video_…`` of their videos; null where nothing is known.

    Args:
        clips: with the column ``root_key``.
        videos: rows of `shards.schema.VIDEOS`, of the same connection.
    """
    names = ", ".join(f'videos."{name}"' for name in VIDEO_COLUMNS if name != "carried")
    own = ", ".join(f'clips."{name}"' for name in clips.columns)
    named = clips.set_alias("clips"), videos.set_alias("videos")
    return named[0].join(named[1], "clips.root_key = videos.root_key", "left").project(f"{own}, {names}")
