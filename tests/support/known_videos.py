"""Tables of videos (``videos/<shard>.parquet``) for a DIR of `support.shard_factory`, which has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from shards.artifact import Artifact
from shards.keys import shard_name
from shards.reader import media_shards, read_artifact, read_table
from shards.schema import VIDEOS
from shards.storage.store import Store
from shards.writer import commit_table


def add_videos(store: Store, known: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write a row for each root; `known` returns what is known of the video of a root's row of the media."""
    for shard in media_shards(store):
        stem = shard_name(shard)
        roots = [row for row in read_table(store, f"media/{stem}.parquet").to_pylist() if row["parent_key"] is None]
        rows = [dict.fromkeys(VIDEOS.names) | {"root_key": root["key"]} | known(root) for root in roots]
        counts = read_artifact(store, f"media/{stem}.parquet").counts
        with TemporaryDirectory() as scratch:
            record = Artifact("media", "media-hash", counts=counts)
            table = pa.Table.from_pylist(rows, VIDEOS)
            commit_table(store, Path(scratch), f"videos/{stem}.parquet", table, record)
