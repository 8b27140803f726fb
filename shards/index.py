"""``index.parquet``: one row a shard, so that a trainer can plan an epoch without opening a thousand files.

Derived from the committed media alone; curate rebuilds it at the end of a run, reading only shards that are new or
were made anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import Artifact
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import committed_media, in_threads, read_table
from shards.schema import INDEX, LEVELS
from shards.storage.store import Store
from shards.writer import commit_table

INDEX_NAME = "index.parquet"


def read_index(store: Store) -> pa.Table:
    """The index of a DIR, in order of shards.

    Raises:
        ShardError: there is none, or it is unreadable.
    """
    try:
        return read_table(store, INDEX_NAME)
    except FileNotFoundError:
        raise ShardError(f"{store.root}: no {INDEX_NAME}; this is no folder that `curate run` finished") from None


def rebuild_index(store: Store) -> pa.Table:
    """Bring ``index.parquet`` up to date with the committed media and return it.

    Shards whose digest stands in the present index are taken from it; where nothing changed nothing is written.
    """
    media = committed_media(store)
    present = _present(store)
    stale = [shard for shard, artifact in media.items() if present.get(shard, {}).get("digest") != artifact.digest]
    fresh = dict(zip(stale, in_threads(lambda shard: _row(store, shard, media[shard]), stale), strict=True))
    rows = [fresh.get(shard) or present[shard] for shard in sorted(media)]
    table = pa.Table.from_pylist(rows, schema=INDEX)
    if rows != list(present.values()) or not store.exists(INDEX_NAME):
        with tempfile.TemporaryDirectory(prefix="index-") as scratch:
            commit_table(store, Path(scratch), INDEX_NAME, table, Artifact("index", ""))
    return table


def index_row(shard: int, clips: pa.Table, artifact: Artifact) -> dict[str, Any]:
    """One row of the index, from a shard's clips and the record of its media."""
    roots = clips.filter(pc.is_null(clips["parent_key"]))
    levels = clips["level"].to_pylist()
    stem = shard_name(shard)
    return {
        "shard": shard,
        "roots": roots.num_rows,
        **{f"clips_{level}": levels.count(level) for level in LEVELS},
        "seconds": float(sum(roots["end"].to_pylist()) - sum(roots["start"].to_pylist())),
        "media_bytes": artifact.files[f"media/{stem}.tar"].size,
        "keyframes_bytes": artifact.files[f"keyframes/{stem}.tar"].size,
        "digest": artifact.digest,
    }


def _row(store: Store, shard: int, artifact: Artifact) -> dict[str, Any]:
    clips = read_table(store, f"media/{shard_name(shard)}.parquet", ["level", "parent_key", "start", "end"])
    return index_row(shard, clips, artifact)


def _present(store: Store) -> Mapping[int, dict[str, Any]]:
    try:
        table = read_table(store, INDEX_NAME)
    except (FileNotFoundError, ShardError):
        return {}
    return {} if table.schema.names != INDEX.names else {row["shard"]: row for row in table.to_pylist()}
