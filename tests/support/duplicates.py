"""Scores with vectors and frame hashes for the DIRs of `support.shard_factory`, and the table that `dedup` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from curation.selection.deduplication.dedup_run import DedupRequest, deduplicate
from curation.selection.deduplication.dedup_settings import DedupSettings
from curation.selection.deduplication.duplicate_table import DedupResult
from curation.selection.deduplication.perceptual.root_hashes import HASHES, TIMES
from shards.artifact import Artifact
from shards.keys import shard_name
from shards.manifest import StageMark, write_stage
from shards.reader import media_shards, read_artifact, read_table
from shards.scores.score_writer import ShardScores, commit_scores, score_schema
from shards.storage.store import Store

SET = "mine"
VECTORS = f"{SET}.look"
WIDTH = 16
FRAMES = 48
_HASHES = {HASHES: pa.list_(pa.uint64()), TIMES: pa.list_(pa.float32())}


def some_vectors(rows: int, seed: int) -> np.ndarray:
    """Return random vectors, none near another."""
    return np.random.default_rng(seed).normal(size=(rows, WIDTH)).astype(np.float32)


def some_hashes(seed: int) -> np.ndarray:
    """Return the hashes of a root, none near those of another seed."""
    return np.random.default_rng(seed).integers(0, 2**64, FRAMES, dtype=np.uint64)


def score(
    store: Store,
    shard: int,
    *,
    vectors: np.ndarray | None = None,
    hashes: Mapping[int, np.ndarray] | None = None,
    content_hash: str = "h",
) -> None:
    """Commit the scores of a shard.

    Args:
        store: the DIR.
        shard: its number.
        vectors: one a clip; None: random ones.
        hashes: of roots, by their place among the shard's roots; random ones for the others.
        content_hash: of the set.
    """
    write_stage(store, f"scores/{SET}", StageMark("score", content_hash, {"vectors": {"look": "path:///m"}}))
    media = f"media/{shard_name(shard)}.parquet"
    clips = read_table(store, media)
    own = _hash_columns(clips, shard, hashes or {})
    columns = {"key": clips["key"], "shard": clips["shard"], **own}
    table = pa.table(columns, schema=score_schema(_HASHES))
    made = some_vectors(clips.num_rows, shard) if vectors is None else vectors
    artifact = Artifact("score", content_hash, inputs={media: read_artifact(store, media).digest})
    with TemporaryDirectory() as scratch:
        commit_scores(store, Path(scratch), f"scores/{SET}", ShardScores(shard, table, {"look": made}), artifact)


def score_all(store: Store, **changes: Any) -> None:
    """Commit random scores for all shards."""
    for shard in media_shards(store):
        score(store, shard, **changes)


def _hash_columns(clips: pa.Table, shard: int, hashes: Mapping[int, np.ndarray]) -> dict[str, list[Any]]:
    found: list[Any] = []
    root = 0
    for parent in clips["parent_key"].to_pylist():
        if parent is None:
            found.append(hashes.get(root, some_hashes(1000 * shard + root)).tolist())
            root += 1
        else:
            found.append(None)
    times = [None if own is None else (np.arange(len(own)) / 2).tolist() for own in found]
    return {HASHES: found, TIMES: times}


def dedup(store: Store, name: str = "all", **settings: Any) -> DedupResult:
    """Find duplicates in this process, without Ray."""
    return deduplicate(DedupRequest(store, DedupSettings(name=name, **settings), "local", quiet=True))


def rows_of(store: Store, name: str = "all") -> dict[str, dict[str, Any]]:
    """Return the rows of a table of duplicates by key."""
    return {row["key"]: row for row in read_table(store, f"duplicates/{name}.parquet").to_pylist()}
