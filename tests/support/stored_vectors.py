"""Random vectors of clips in a score set, for searches."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from shards.artifact import Artifact
from shards.keys import shard_name
from shards.manifest import StageMark, write_stage
from shards.reader import media_shards, read_table
from shards.scores.score_writer import ShardScores, commit_scores, score_schema
from shards.storage.store import Store

WIDTH = 24


def add_vectors(store: Store, model: Path) -> dict[str, np.ndarray]:
    """Commit random vectors and a score for each clip but the last of a shard, which has none; return the vectors."""
    write_stage(store, "scores/demo", StageMark("score", "h", {"vectors": {"clip": f"path://{model}"}}))
    found = {}
    for shard in media_shards(store):
        keys = read_table(store, f"media/{shard_name(shard)}.parquet", ["key", "shard"])
        vectors = np.random.default_rng(shard).normal(size=(keys.num_rows, WIDTH)).astype(np.float16)
        vectors[-1] = np.nan
        found |= dict(zip(keys["key"].to_pylist(), vectors, strict=True))
        brightness = [row / 10 if row + 1 < keys.num_rows else None for row in range(keys.num_rows)]
        table = pa.table([*keys.columns, brightness], schema=score_schema({"bright'ness": pa.float32()}))
        with TemporaryDirectory() as scratch:
            made = ShardScores(shard, table, {"clip": vectors})
            commit_scores(store, Path(scratch), "scores/demo", made, Artifact("score", "h"))
    return found
