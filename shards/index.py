"""``index.parquet``: one row a shard, so that a trainer can plan an epoch without opening a thousand files.

The index is derived from the committed media alone. `curate` rebuilds it at the end of a run and reads only the
shards that are new or were made again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import Artifact
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import committed_media, in_threads, read_table
from shards.schema import INDEX
from shards.storage.store import Store
from shards.stored_rows import IndexRow
from shards.writer import commit_table

INDEX_NAME = "index.parquet"


def read_index(store: Store) -> pa.Table:
    """Return the index of a DIR, in order of shards.

    Raises:
        ShardError: the DIR has no index, or it is unreadable.
    """
    try:
        return read_table(store, INDEX_NAME)
    except FileNotFoundError:
        raise ShardError(f"{store.root}: no {INDEX_NAME}; this is no folder that `curate run` finished") from None


def rebuild_index(store: Store, media: Mapping[int, Artifact] | None = None) -> pa.Table:
    """Bring ``index.parquet`` up to date with the committed media and return it.

    A shard whose digest is in the present index is taken from it; without a change nothing is written.

    Args:
        store: the DIR.
        media: its committed media; None: look it up.
    """
    media = committed_media(store) if media is None else media
    present = _present_rows(store)
    stale = [shard for shard, artifact in media.items() if not _is_current(present.get(shard), artifact)]
    fresh = dict(zip(stale, in_threads(lambda shard: _read_row(store, shard, media[shard]), stale), strict=True))
    rows = [fresh.get(shard) or present[shard] for shard in sorted(media)]
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=INDEX)
    if rows != list(present.values()) or not store.exists(INDEX_NAME):
        with tempfile.TemporaryDirectory(prefix="index-") as scratch:
            commit_table(store, Path(scratch), INDEX_NAME, table, Artifact("index", ""))
    return table


def index_row(shard: int, clips: pa.Table, artifact: Artifact) -> IndexRow:
    """Return a shard's row of the index, from its clips and the record of its media."""
    roots = clips.filter(pc.is_null(clips["parent_key"]))
    levels = clips["level"].to_pylist()
    stem = shard_name(shard)
    return IndexRow(
        shard=shard,
        roots=roots.num_rows,
        clips_short=levels.count("short"),
        clips_medium=levels.count("medium"),
        clips_long=levels.count("long"),
        seconds=float(sum(roots["end"].to_pylist()) - sum(roots["start"].to_pylist())),
        media_bytes=artifact.files[f"media/{stem}.tar"].size,
        keyframes_bytes=artifact.files[f"keyframes/{stem}.tar"].size,
        digest=artifact.digest,
    )


def _read_row(store: Store, shard: int, artifact: Artifact) -> IndexRow:
    clips = read_table(store, f"media/{shard_name(shard)}.parquet", ["level", "parent_key", "start", "end"])
    return index_row(shard, clips, artifact)


def _is_current(row: IndexRow | None, artifact: Artifact) -> bool:
    return row is not None and row.digest == artifact.digest


def _present_rows(store: Store) -> Mapping[int, IndexRow]:
    """Return the rows of the present index by shard; empty if it is missing, unreadable or of another schema."""
    try:
        table = read_table(store, INDEX_NAME)
    except (FileNotFoundError, ShardError):
        return {}
    return {} if table.schema.names != INDEX.names else {row["shard"]: IndexRow(**row) for row in table.to_pylist()}
